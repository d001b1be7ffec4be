"""The contract probe command: four checks, the runbook's JSON on standard output, the particulars on standard error."""

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

from loader.address import safe_address
from loader.api import Api
from loader.card import entities, read_card
from loader.command import OneLineParser, entity_option, guarded
from loader.config import Settings, load_settings
from loader.console import Console
from loader.errors import OK, ApiUnavailable, EtlError, Refused
from loader.export_json import write_json
from loader.job import new_run_id
from loader.tokens import run_tokens
from loader.warehouse import Warehouse
from probe.checks import Check, check_rows, run_checks

_EPILOG = """\
example:
  python scripts/etl/contract_probe.py staging

exit codes: 0 verified, 2 refused (usage, settings, production), 3 unreachable or not verified
"""
CONNECT_SECONDS, READ_SECONDS = 5, 15


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of the probe command."""
    command = OneLineParser(
        prog=prog,
        description="Verify that the API answers and is the one the cards describe. Sends GET requests only.",
        epilog=_EPILOG,
    )
    command.add_argument(
        "environment",
        nargs="?",
        default=os.environ.get("ETL_ENVIRONMENT"),
        help="staging or development, as in etl.toml (default: $ETL_ENVIRONMENT)",
    )
    entity_option(command, entities())
    return command


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Carry out one command line; return the exit code. An expected failure is one line on standard error."""
    return guarded(lambda: _main(parser(prog or "python -m probe").parse_args(arguments)))


def _main(options: argparse.Namespace) -> int:
    if not options.environment:
        raise Refused("no environment; name one (staging), or export ETL_ENVIRONMENT=staging")
    settings, console = load_settings(), Console()
    card = read_card(options.entity_type)
    address = safe_address(settings, settings.environment(options.environment))
    tokens = run_tokens(console.notice)
    with Api(address, tokens, connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS) as api:
        checks = run_checks(api, options.environment, card)
    run_id = new_run_id()
    _keep(settings, console, run_id, checks, options.environment, address)
    summary = summary_document(checks)
    full = (
        {"run_id": run_id, "environment": options.environment, "address": address}
        | summary
        | {"checks": [vars(check) for check in checks]}
    )
    path = write_json(settings.output / f"contract_probe_{run_id}.json", full).path
    for check in checks:
        console.notice(
            f"{'passed' if check.passed else 'FAILED'} {check.name}: {check.found}"
            + (f"; {check.how_to_fix}" if check.how_to_fix else "")
        )
    console.notice(f"wrote {path}")
    print(json.dumps(summary, indent=2))
    return OK if summary["all_passed"] else ApiUnavailable.exit_code


def summary_document(checks: Sequence[Check]) -> dict[str, Any]:
    """Return the runbook's expected output."""
    passed = sum(check.passed for check in checks)
    return {
        "all_passed": passed == len(checks),
        "summary": {"total": len(checks), "passed": passed, "failed": len(checks) - passed},
    }


def _keep(
    settings: Settings, console: Console, run_id: str, checks: Sequence[Check], environment: str, address: str
) -> None:
    warehouse = Warehouse(settings.database, settings.lock_wait_seconds, console.notice)
    rows = [{"run_id": run_id} | row for row in check_rows(checks, environment, address)]
    try:
        warehouse.rows("select run_id from audit.fct_probe_checks limit 0")
        warehouse.insert("fct_probe_checks", rows)
    except EtlError as error:
        console.notice(f"the checks are in the JSON file alone, not in audit: {error}")
