"""The pipeline command: carries a run out, prints the summary, returns the exit code."""

import argparse
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from loader.api.address import safe_address
from loader.api.client import Api
from loader.api.tokens import run_tokens
from loader.audit.seals import seal_or_tell
from loader.card import entities, read_card
from loader.command import OneLineParser, asked_entity, entity_option, tell
from loader.commands import COMMANDS
from loader.config import Environment, Settings, load_settings
from loader.console import Console
from loader.errors import OK, Interrupted, Refused
from loader.landing.dates import ORDER_VARIABLE, ZONE_VARIABLE, read_dates
from loader.landing.dialect import (
    DELIMITER_VARIABLE,
    ENCODING_VARIABLE,
    PROFILE_VARIABLE,
    SHEET_VARIABLE,
    read_dialect,
)
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


_MODES = {
    VALIDATE_ONLY: "report what is wrong with the records; needs no network and no token",
    DRY_RUN: "report what would be posted; needs no network and no token",
    IMPORT: "post the records that passed their tests",
}


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of the pipeline command."""
    what = "Validate a CSV of records, and import what passed its tests into the staging API."
    listed = "\n".join(f"  {name:<13} {command.text}" for name, command in COMMANDS.items())
    command = OneLineParser(prog, what, _EPILOG.format(commands=listed))
    mode, add = command.add_mutually_exclusive_group(required=True), command.add_argument
    for name, text in _MODES.items():
        mode.add_argument(f"--{name}", dest="mode", action="store_const", const=name, help=text)
    where = "staging or development, as in etl.toml (default: $ETL_ENVIRONMENT)"
    add("--environment", metavar="NAME", default=os.environ.get("ETL_ENVIRONMENT"), help=where)
    source = "CSV, or .xlsx workbook, to land and test first (default: what the last `dbt build` built)"
    add("--source", metavar="FILE", type=Path, help=source)
    delimiter = "sign between two cells: comma, semicolon, tab, pipe or another (default: $ETL_DELIMITER, or comma)"
    add("--delimiter", metavar="SIGN", default=os.environ.get(DELIMITER_VARIABLE), help=delimiter)
    encoding = "encoding of the file, as cp1252 or utf-16 (default: $ETL_ENCODING, or utf-8)"
    add("--encoding", metavar="NAME", default=os.environ.get(ENCODING_VARIABLE), help=encoding)
    sheet = "sheet of an .xlsx workbook that has several (default: $ETL_SHEET)"
    add("--sheet", metavar="NAME", default=os.environ.get(SHEET_VARIABLE), help=sheet)
    profile = "table [sources.NAME] of etl.toml that says how such files are written (default: $ETL_SOURCE_PROFILE)"
    add("--source-profile", metavar="NAME", default=os.environ.get(PROFILE_VARIABLE), help=profile)
    _date_options(command)
    entity_option(command, entities())
    add("--batch-size", metavar="N", type=int, help="records between two commits to audit (default: etl.toml)")
    retry = "with --import: send only what the last run left unknown or not attempted, not what the API refused"
    add("--retry-failed", action="store_true", help=retry)
    verify = "with --import: read the created and existing records back and compare them with what was sent"
    add("--verify", action="store_true", help=verify)
    sample = "with --import: read only N of them back, chosen at random"
    add("--verify-sample", metavar="N", type=int, help=sample)
    add("--json", action="store_true", help="print the summary object alone")
    return command


def _date_options(command: argparse.ArgumentParser) -> None:
    order = "read dates such as 04/03/2026 with the day or the month first (default: $ETL_DATE_ORDER, or not at all)"
    command.add_argument("--date-order", metavar="ORDER", default=os.environ.get(ORDER_VARIABLE), help=order)
    zone = "zone of times without one: +01:00, Z or a name (default: $ETL_ASSUME_ZONE, or none: they stay errors)"
    command.add_argument("--assume-zone", metavar="ZONE", default=os.environ.get(ZONE_VARIABLE), help=zone)


def carry_out(options: argparse.Namespace) -> int:
    """Carry out the command; return the exit code."""
    settings = load_settings()
    console = Console(as_json=options.json)
    with ExitStack() as closing:
        run = new_run(_job(options, settings, console, closing), settings, console)
        with run.signals.handled(), run.warehouse.locked():
            row = execute(run)
            with run.warehouse.held():
                with step(Step.WRITE_FILES):
                    files = export_run(run.warehouse, row, settings.output.directory)
                with step(Step.SEAL):
                    run.seal = seal_or_tell(run.warehouse, console.notice)
    exit_code = 128 + run.signals.first if run.signals.first else row.exit_code or OK
    print_summary(console, run, row, files)
    console.summary(summary_object(run, row, files, exit_code))
    if run.closed_by and run.job.mode == IMPORT:
        tell(run.closed_by)
    # The summary of a run that stopped early has told it.
    if run.signals.first and not row.stopped_because:
        tell(Interrupted(run.signals.first))
    return exit_code


def _job(options: argparse.Namespace, settings: Settings, console: Console, closing: ExitStack) -> Job:
    if not options.environment:
        raise Refused("no environment; add --environment staging, or export ETL_ENVIRONMENT=staging")
    environment = settings.environment(options.environment)
    card = read_card(asked_entity(options, entities()))
    batch_size = settings.delivery.batch_size if options.batch_size is None else options.batch_size
    if batch_size < 1:
        raise Refused(f"--batch-size must be at least 1, not {batch_size}")
    verify, profile = _verify(options), settings.source_profile(options.source_profile)
    return Job(
        mode=options.mode,
        environment=environment.name,
        card=card,
        source=options.source.absolute() if options.source else None,
        batch_size=batch_size,
        dialect=read_dialect(options.delimiter, options.encoding, options.sheet, profile),
        dates=read_dates(options.date_order, options.assume_zone, profile),
        target=_target(settings, environment, console, closing) if options.mode == IMPORT else None,
        retry_failed=options.retry_failed,
        verify=verify,
        verify_sample=options.verify_sample,
    )


def _verify(options: argparse.Namespace) -> bool:
    if not options.verify and options.verify_sample is None:
        return False
    if options.mode != IMPORT:
        raise Refused(f"--verify reads back what an import has sent, --{options.mode} sends nothing: use --import")
    if options.verify_sample is not None and options.verify_sample < 1:
        raise Refused(f"--verify-sample must be at least 1, not {options.verify_sample}")
    return True


def _target(settings: Settings, environment: Environment, console: Console, closing: ExitStack) -> Target:
    address, delivery, tokens = safe_address(settings, environment), settings.delivery, run_tokens(console.notice)
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
