"""`python -m loader audit-verify`: recomputes every seal and says what is not as it was sealed."""

import argparse
import re
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from loader.audit.digests import RECEIPT
from loader.audit.proof import Problem, Trail, problems, read_trail
from loader.audit.seals import Seal, read_anchor
from loader.command import OneLineParser
from loader.config import load_settings
from loader.console import Console, counted
from loader.errors import OK, SOME_RECORDS, Refused
from loader.storage.warehouse import Warehouse, fetch

_EPILOG = """\
examples:
  python -m loader audit-verify
  python -m loader audit-verify --expect 4f1c9a0be3d27755        a seal that was noted in a ticket
  python -m loader audit-verify --json | jq '.problems[0]'

exit codes:
  0  proven: every sealed row is as it was sealed, and the chain of seals is whole
  1  not proven; the first line names the first run that is not as it was sealed
  2  refused: no database, or not readable           4  another process holds the database
"""
_SHOWN = 20
_EXPECTED = re.compile(r"[0-9a-f]{16,64}")
# Fewer are hashed before a word about it could be read.
_MANY_ROWS = 500_000
_ROWS = "select coalesce(sum(estimated_size), 0)::bigint as rows from duckdb_tables() where schema_name = 'audit'"


def parser(prog: str) -> OneLineParser:
    """Return the parser of the command."""
    command = OneLineParser(
        prog=prog,
        description="Prove that no audit row was changed, added or removed since it was sealed. Changes nothing.",
        epilog=_EPILOG,
    )
    command.add_argument(
        "--expect", metavar="SEAL", help="a seal noted elsewhere (its first 16 digits will do): is it on the chain?"
    )
    command.add_argument("--json", action="store_true", help="print one object alone")
    return command


def carry_out(options: argparse.Namespace) -> int:
    """Carry out the command; return the exit code."""
    expected = options.expect.strip().lower() if options.expect is not None else None
    if expected is not None and not _EXPECTED.fullmatch(expected):
        raise Refused(f"--expect takes a seal, 16 to 64 hexadecimal digits, not {options.expect!r}")
    settings, console = load_settings(), Console(as_json=options.json)
    warehouse = Warehouse(settings.database, settings.warehouse.lock_wait_seconds, console.notice)
    with warehouse.apart() as connection:
        rows = fetch(connection, _ROWS)[0]["rows"]
    while True:
        with console.busy(f"hashing {rows:,} audit rows") if rows >= _MANY_ROWS else nullcontext():
            trail = read_trail(warehouse.apart, read_anchor(warehouse.path))
        found = list(problems(trail))
        # What was removed while the trail was read is no problem; then something was sealed since.
        with warehouse.apart() as connection:
            last = fetch(connection, "select coalesce(max(number), 0) as number from audit.fct_seals")[0]["number"]
        if not found or last <= max((seal.number or 0 for seal in trail.seals), default=0):
            break
    if expected and not any(_is(seal, expected) for seal in trail.seals):
        found.append(Problem(f"the expected seal {expected} is not on the chain of this database"))
    if not trail.seals and not found:
        found.append(Problem("nothing is sealed yet: the next run seals what is there"))
    _print(console, trail, found, expected)
    console.summary(_object(trail, found, expected))
    return SOME_RECORDS if found else OK


def _print(console: Console, trail: Trail, found: list[Problem], expected: str | None) -> None:
    for problem in found[:_SHOWN]:
        console.line(f"NOT PROVEN {problem}")
    if len(found) > _SHOWN:
        console.line(f"... and {len(found) - _SHOWN} more, all of them with --json")
    _print_counts(console, trail)
    noted = next((seal.number or 0 for seal in trail.seals if _is(seal, expected)), 0)
    for seal in trail.seals:
        is_later = expected is not None and seal.kind == RECEIPT and (seal.number or 0) > noted
        if _is(seal, expected) or is_later or seal is trail.seals[-1]:
            console.line(f"seal {seal.number}, {seal.subject}, of {seal.sealed_at} UTC: {seal.seal}")
    if found:
        console.line("next: keep this database and its .seal file as they are; RUNBOOK.md, 6b, says what it can mean")
    else:
        of = " of the runs that were not removed" if trail.removed else ""
        console.line(f"proven: no audit row{of} was changed, added or removed since it was sealed")


def _print_counts(console: Console, trail: Trail) -> None:
    if sealed := Counter(seal.kind for seal in trail.seals):
        console.line(f"sealed: {_counted(sealed)}, {sum(seal.rows or 0 for seal in trail.seals):,} rows")
    others = {
        "removed with a receipt": Counter(subject.kind for subject in trail.removed),
        "not sealed yet, the next run does it": _waiting(trail, is_open=False),
        "unfinished, the next import closes and seals it": _waiting(trail, is_open=True),
    }
    for what, kinds in others.items():
        if kinds:
            console.line(f"{what}: {_counted(kinds)}")


def _object(trail: Trail, found: list[Problem], expected: str | None) -> dict[str, Any]:
    last = trail.seals[-1] if trail.seals else None
    return {
        "proven": not found,
        "seals": len(trail.seals),
        "rows": sum(seal.rows or 0 for seal in trail.seals),
        "last": _seal_object(last) if last else None,
        "expected": next((_seal_object(seal) for seal in trail.seals if _is(seal, expected)), None),
        "noted": asdict(trail.anchor) if trail.anchor else None,
        "removed_with_a_receipt": len(trail.removed),
        "not_sealed_yet": _waiting(trail, is_open=False),
        "unfinished": _waiting(trail, is_open=True),
        "problems": [
            vars(problem) | {"subject": problem.subject._asdict() if problem.subject else None} for problem in found
        ],
    }


def _is(seal: Seal, expected: str | None) -> bool:
    return expected is not None and bool(seal.seal) and seal.seal.startswith(expected)


def _seal_object(seal: Seal) -> dict[str, Any]:
    return {"number": seal.number, "seal": seal.seal, "subject": seal.subject._asdict(), "sealed_at": seal.sealed_at}


def _waiting(trail: Trail, *, is_open: bool) -> Counter[str]:
    return Counter(
        subject.kind
        for subject in trail.unsealed
        if subject in trail.states and trail.states[subject]["is_open"] == is_open
    )


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(counted(count, kind) for kind, count in sorted(kinds.items(), key=str))
