"""The pipeline command: carries a run out, prints the summary, returns the exit code."""

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from loader.api.address import safe_address
from loader.api.client import Api
from loader.api.tokens import run_tokens
from loader.audit.seals import seal_or_tell
from loader.card import entities, read_card
from loader.command import OneLineParser, asked_entity, entity_option, guarded, tell
from loader.commands import COMMANDS
from loader.config import Settings, load_settings
from loader.console import Console
from loader.errors import OK, Refused
from loader.landing.dialect import DELIMITER_VARIABLE, ENCODING_VARIABLE, read_dialect
from loader.reports.documents import export_run
from loader.reports.summary import print_summary, summary_object
from loader.run.execute import execute
from loader.run.job import DRY_RUN, IMPORT, VALIDATE_ONLY, Job, Target, new_run
from loader.steps import Step, step
from probe.gate import probe_or_refuse

_EPILOG = """\
examples:
  export ETL_ENVIRONMENT=staging ETL_ENTITY=NAME
  python scripts/etl/pipeline.py --validate-only --source export.csv
  python scripts/etl/pipeline.py --dry-run --source export.csv
  python scripts/etl/pipeline.py --import --source export.csv --batch-size 50
  python scripts/etl/pipeline.py --import --source export.csv --verify
  dbt build && python -m loader --import

commands on the audit trail, each with its own --help:
{commands}

exit codes:
  0  done, everything accounted for          1  records invalid, failed, unknown or not proven
  2  refused: usage, settings, production    3  the API is unreachable or not the one described
  4  stopped early, the same command goes on (130 and 143 after a signal)
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of the pipeline command."""
    command = OneLineParser(
        prog=prog,
        description="Validate a CSV of records, and import what passed its tests into the staging API.",
        epilog=_EPILOG.format(commands="\n".join(f"  {name:<13} {command.text}" for name, command in COMMANDS.items())),
    )
    _add_modes(command)
    command.add_argument(
        "--environment",
        metavar="NAME",
        default=os.environ.get("ETL_ENVIRONMENT"),
        help="staging or development, as in etl.toml (default: $ETL_ENVIRONMENT)",
    )
    command.add_argument(
        "--source",
        metavar="FILE",
        type=Path,
        help="CSV to land and test first (default: what the last `dbt build` built)",
    )
    command.add_argument(
        "--delimiter",
        metavar="SIGN",
        default=os.environ.get(DELIMITER_VARIABLE),
        help="what stands between two cells: comma, semicolon, tab, pipe or a sign (default: $ETL_DELIMITER, or comma)",
    )
    command.add_argument(
        "--encoding",
        metavar="NAME",
        default=os.environ.get(ENCODING_VARIABLE),
        help="encoding of the file, as cp1252 or utf-16 (default: $ETL_ENCODING, or utf-8)",
    )
    entity_option(command, entities())
    command.add_argument(
        "--batch-size", metavar="N", type=int, help="records between two commits to audit (default: etl.toml)"
    )
    command.add_argument(
        "--retry-failed",
        action="store_true",
        help="with --import: send only what the last run left unknown or not attempted, not what the API refused",
    )
    command.add_argument(
        "--verify",
        action="store_true",
        help="with --import: read the created and existing records back and compare them with what was sent",
    )
    command.add_argument(
        "--verify-sample", metavar="N", type=int, help="with --import: read only N of them back, chosen at random"
    )
    command.add_argument("--json", action="store_true", help="print the summary object alone")
    return command


def _add_modes(command: OneLineParser) -> None:
    mode = command.add_mutually_exclusive_group(required=True)
    mode.add_argument(
        "--validate-only",
        dest="mode",
        action="store_const",
        const=VALIDATE_ONLY,
        help="report what is wrong with the records; needs no network and no token",
    )
    mode.add_argument(
        "--dry-run",
        dest="mode",
        action="store_const",
        const=DRY_RUN,
        help="report what would be posted; needs no network and no token",
    )
    mode.add_argument(
        "--import",
        dest="mode",
        action="store_const",
        const=IMPORT,
        help="post the records that passed their tests",
    )


def main(arguments: Sequence[str] | None = None, prog: str = "python -m loader") -> int:
    """Carry out one command line; return the exit code. An expected failure is one line on standard error."""
    return guarded(lambda: _main(parser(prog).parse_args(arguments)))


def _main(options: argparse.Namespace) -> int:
    settings = load_settings()
    console = Console(as_json=options.json)
    with ExitStack() as closing:
        run = new_run(_job(options, settings, console, closing), settings, console)
        with run.signals.handled(), run.warehouse.locked():
            row = execute(run)
            with step(Step.WRITE_FILES):
                files = export_run(run.warehouse, row, settings.output)
            with step(Step.SEAL):
                run.seal = seal_or_tell(run.warehouse, console.notice)
    exit_code = 128 + run.signals.first if run.signals.first else row.exit_code or OK
    print_summary(console, run, row, files)
    console.summary(summary_object(run, row, files, exit_code))
    if run.closed_by and run.job.mode == IMPORT:
        tell(run.closed_by)
    return exit_code


def _job(options: argparse.Namespace, settings: Settings, console: Console, closing: ExitStack) -> Job:
    if not options.environment:
        raise Refused("no environment; add --environment staging, or export ETL_ENVIRONMENT=staging")
    environment = settings.environment(options.environment)
    card = read_card(asked_entity(options, entities()))
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
