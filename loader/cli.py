"""The pipeline command: carries a run out, prints the summary, returns the exit code."""

import argparse
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FrameType

from loader.address import safe_address
from loader.api import Api
from loader.card import read_card
from loader.command import guarded
from loader.config import Settings, load_settings
from loader.console import Console
from loader.dialect import read_dialect
from loader.errors import Interrupted, Refused
from loader.job import IMPORT, Job, Run, Target, new_run
from loader.options import parser
from loader.report import export_run
from loader.run import execute
from loader.seals import seal_or_tell
from loader.steps import Step, step
from loader.summary import print_summary, summary_object
from loader.tokens import run_tokens
from probe.gate import probe_or_refuse


def main(arguments: Sequence[str] | None = None, prog: str = "python -m loader") -> int:
    """Carry out one command line; return the exit code. An expected failure is one line on standard error."""
    return guarded(lambda: _main(parser(prog).parse_args(arguments)))


def _main(options: argparse.Namespace) -> int:
    settings = load_settings()
    console = Console(as_json=options.json)
    with ExitStack() as closing:
        run = new_run(_job(options, settings, console, closing), settings, console)
        with _signals(run) as received, run.warehouse.locked():
            row = execute(run)
            with step(Step.WRITE_FILES):
                files = export_run(run.warehouse, run.run_id, settings.output)
            with step(Step.SEAL):
                run.seal = seal_or_tell(run.warehouse, console.notice)
    exit_code = 128 + received[0] if received else int(row["exit_code"])
    print_summary(console, run, row, files)
    console.summary(summary_object(run, row, files, exit_code))
    if run.closed_by and run.job.mode == IMPORT:
        raise run.closed_by
    return exit_code


def _job(options: argparse.Namespace, settings: Settings, console: Console, closing: ExitStack) -> Job:
    if not options.environment:
        raise Refused("no environment; add --environment staging, or export ETL_ENVIRONMENT=staging")
    environment = settings.environment(options.environment)
    card = read_card(options.entity_type)
    batch_size = settings.delivery.batch_size if options.batch_size is None else options.batch_size
    if batch_size < 1:
        raise Refused(f"--batch-size must be at least 1, not {batch_size}")
    verify = _verify(options)
    target = _target(settings, options.environment, console, closing) if options.mode == IMPORT else None
    source = options.source.absolute() if options.source else None
    dialect = read_dialect(options.delimiter, options.encoding)
    retry, sample = options.retry_failed, options.verify_sample
    return Job(options.mode, environment.name, card, source, batch_size, dialect, target, retry, verify, sample)


def _verify(options: argparse.Namespace) -> bool:
    if not options.verify and options.verify_sample is None:
        return False
    if options.mode != IMPORT:
        raise Refused(f"--verify reads back what an import has sent, --{options.mode} sends nothing: use --import")
    if options.verify_sample is not None and options.verify_sample < 1:
        raise Refused(f"--verify-sample must be at least 1, not {options.verify_sample}")
    return True


def _target(settings: Settings, name: str, console: Console, closing: ExitStack) -> Target:
    environment = settings.environment(name)
    address = safe_address(settings, environment)
    delivery, tokens = settings.delivery, run_tokens(console.notice)
    api = Api(
        address,
        tokens,
        connect_seconds=delivery.connect_timeout_seconds,
        read_seconds=delivery.read_timeout_seconds,
        read_seconds_per_megabyte=delivery.read_timeout_seconds_per_megabyte,
        connections=delivery.max_concurrency,
        ca_bundle=environment.ca_bundle,
    )
    return Target(address, closing.enter_context(api), partial(probe_or_refuse, tokens=tokens))


@contextmanager
def _signals(run: Run) -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM end an import after what is in flight, and anything else at once; a second one at once."""
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        run.pace.stop(f"signal {number}")
        if len(received) > 1 or not run.delivering:
            raise Interrupted(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
