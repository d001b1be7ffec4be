"""The contract probe command: four checks, the runbook's JSON on standard output, the particulars on standard error."""

import argparse
import json
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from loader.api.address import safe_address
from loader.api.client import Api
from loader.api.tokens import run_tokens
from loader.audit.journal import new_run_id
from loader.card import Card, entities, read_card
from loader.command import OneLineParser, entity_option, guarded
from loader.config import load_settings
from loader.console import Console
from loader.errors import OK, ApiUnavailable, Refused, StoppedEarly
from loader.storage.warehouse import Warehouse
from probe.checks import MAX_OPENAPI_BYTES, compared, contract_check
from probe.probe import Outcome, Where, probe, probe_reader
from probe.report import contract_lines, finding_object, keep_where_possible, lines, since_object, summary_object, write

_EPILOG = """\
examples:
  python scripts/etl/contract_probe.py staging
  python -m probe --openapi openapi.json

Where no entity is named, the card of [probe] entity in etl.toml is compared.

exit codes: 0 verified, 2 refused (usage, settings, production), 3 unreachable or not verified
"""


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
        help="staging or development, as in etl.toml (default: $ETL_ENVIRONMENT)",
    )
    command.add_argument(
        "--openapi",
        metavar="FILE",
        type=Path,
        help="compare a saved OpenAPI document with the card; needs no network, no token and no database",
    )
    entity_option(command, entities())
    return command


def main(arguments: Sequence[str] | None = None, prog: str = "python -m probe") -> int:
    """Carry out one command line; return the exit code. An expected failure is one line on standard error."""
    return guarded(lambda: _main(parser(prog).parse_args(arguments)))


def _main(options: argparse.Namespace) -> int:
    card = read_card(options.entity_type or load_settings().probe.entity)
    if options.openapi is not None:
        if options.environment:
            raise Refused("--openapi compares a file with the card, without an environment: leave one of them out")
        return _offline(options.openapi, card)
    environment = options.environment or os.environ.get("ETL_ENVIRONMENT")
    if not environment:
        raise Refused("no environment; name one (staging), or export ETL_ENVIRONMENT=staging")
    return _online(environment, card)


def _offline(path: Path, card: Card) -> int:
    document, text = None, _read(path)
    with suppress(ValueError, RecursionError):
        document = json.loads(text)
    check = contract_check(card, compared(document, card)[1])
    _say(Console(), lines([check]))
    found = {"findings": [finding_object(check.name, finding) for finding in check.findings]}
    outcome = Outcome.VERIFIED if check.passed else Outcome.FAILED
    _print(summary_object([check], outcome) | found, "nothing else was written")
    return OK if check.passed else ApiUnavailable.exit_code


def _read(path: Path) -> bytes:
    fix = "name the JSON document as curl -o saved it"
    try:
        # Without waiting for a writer, should it be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Refused(f"{path}: is not a regular file; {fix}")
            if found.st_size > MAX_OPENAPI_BYTES:
                raise Refused(f"{path}: {found.st_size:,} bytes, the limit is {MAX_OPENAPI_BYTES:,}; {fix}")
            return file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name has a NUL byte"
        raise Refused(f"{path}: cannot be read ({reason}); {fix}") from error


def _online(name: str, card: Card) -> int:
    settings, console = load_settings(), Console()
    environment = settings.environment(name)
    address = safe_address(settings, environment)
    tokens, limits = run_tokens(console.notice), settings.probe
    warehouse = Warehouse(settings.database, settings.warehouse.lock_wait_seconds, console.notice)
    reader = probe_reader(settings, console.notice)
    with Api(
        address,
        tokens,
        connect_seconds=limits.connect_seconds,
        read_seconds=limits.request_seconds,
        ca_bundle=environment.ca_bundle,
    ) as api:
        probed = probe(Where(new_run_id(), name, api, tokens, card, warehouse, reader, limits), bound=False)
    file = None
    try:
        file = write(probed, settings.output.directory)
    finally:
        # A full disk takes the rows no better; a folder that is read-only does not keep them from the database.
        not_kept = keep_where_possible(probed, file)
        if not_kept and not probed.is_production:
            console.notice(not_kept)
    probed.refuse_production()
    _say(console, lines(probed.checks))
    _say(console, contract_lines(probed))
    console.notice(f"wrote {file.path}")
    _print(summary_object(probed.checks, probed.outcome) | since_object(probed), f"all of it is in {file.path}")
    return OK if probed.outcome is Outcome.VERIFIED else ApiUnavailable.exit_code


def _print(document: dict[str, Any], kept: str) -> None:
    try:
        Console(as_json=True).summary(document)
    except StoppedEarly as error:
        raise StoppedEarly(f"{str(error).partition(';')[0]}; {kept}") from error


def _say(console: Console, texts: Iterable[str]) -> None:
    for text in texts:
        console.notice(" ".join(text.splitlines()))
