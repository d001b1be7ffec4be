"""The command line of a run."""

import argparse
import os
from pathlib import Path

from loader.card import entities
from loader.command import OneLineParser, entity_option
from loader.dialect import DELIMITER_VARIABLE, ENCODING_VARIABLE
from loader.job import DRY_RUN, IMPORT, VALIDATE_ONLY
from loader.trail import COMMANDS

_EPILOG = """\
examples:
  python scripts/etl/pipeline.py --environment staging --validate-only --source export.csv
  python scripts/etl/pipeline.py --environment staging --dry-run --source export.csv
  python scripts/etl/pipeline.py --environment staging --import --source export.csv --batch-size 50
  python scripts/etl/pipeline.py --environment staging --import --source export.csv --verify
  dbt build && python -m loader --environment staging --import

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
        epilog=_EPILOG.format(commands="\n".join(f"  {name:<13} {text}" for name, text in COMMANDS.items())),
    )
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
