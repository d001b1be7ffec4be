"""`python -m loader prune`: removes what is older than the retention, and leaves a sealed receipt."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loader.audit.journal import now
from loader.audit.retention import ALTERED, Fate, Plan, left_over, plan, remove, remove_files
from loader.audit.seals import Seal
from loader.command import OneLineParser
from loader.config import Settings, load_settings
from loader.console import Console
from loader.errors import OK, SOME_RECORDS, Refused
from loader.storage.warehouse import Warehouse, shadowing

_EPILOG = """\
examples:
  python -m loader prune              what would be removed; nothing is
  python -m loader prune --yes        remove it
  python -m loader prune --json | jq '.rows'

Never removed: a run that is unfinished or has records whose fate is unknown, what the next run goes on with, what
a kept run needs, and whatever is not as it was sealed. The days are [retention] in etl.toml, at least 90.

exit codes:
  0  done, or nothing to do       1  something was left that should have gone: it is named
  2  refused: settings            4  another run or process holds the database
"""
_SHOWN = 20


@dataclass
class Pruned:
    """What goes and its report files, and with `--yes` the receipt, its seal, and files that could not be removed."""

    plan: Plan
    files: list[str]
    receipt_id: str | None = None
    seal: Seal | None = None
    failed: Sequence[str] = ()


def parser(prog: str) -> OneLineParser:
    """Return the parser of the command."""
    command = OneLineParser(
        prog=prog,
        description="Remove audit rows and report files older than the retention, leaving a receipt that is sealed.",
        epilog=_EPILOG,
    )
    command.add_argument("--yes", action="store_true", help="remove it; without, nothing is changed")
    command.add_argument("--json", action="store_true", help="print one object alone")
    return command


def carry_out(options: argparse.Namespace) -> int:
    """Carry out the command; return the exit code."""
    settings, console = load_settings(), Console(as_json=options.json)
    warehouse = Warehouse(settings.database, settings.warehouse.lock_wait_seconds, console.notice)
    with warehouse.apart() as connection:
        if functions := shadowing(connection):
            raise Refused(
                f"{warehouse.path}: the function main.{functions[0]} was added; run: python -m loader audit-verify"
            )
    if options.yes:
        with warehouse.locked():
            found, receipt_id, seal = remove(warehouse, now(), settings.retention.days, console.notice)
            pruned = Pruned(found, found.files(Fate.REMOVED), receipt_id, seal, remove_files(warehouse))
    else:
        with warehouse.connection(read_only=True) as connection:
            found = plan(connection, now(), settings.retention.days)
            pruned = Pruned(found, found.files(Fate.REMOVED) + left_over(connection))
    _print(console, settings, pruned, done=options.yes)
    console.summary(_object(settings, pruned, done=options.yes))
    return SOME_RECORDS if pruned.failed or ALTERED in pruned.plan.kept.values() else OK


def _print(console: Console, settings: Settings, pruned: Pruned, *, done: bool) -> None:
    found = pruned.plan
    console.line(f"older than {settings.retention.days} days: begun before {found.before:%Y-%m-%d %H:%M:%S} UTC")
    for kind in sorted({removal.subject.kind for removal in found.removals}):
        ids = [removal for removal in found.removals if removal.subject.kind == kind]
        span = f"begun {ids[0].began:%Y-%m-%d} to {ids[-1].began:%Y-%m-%d}"
        console.line(f"{kind}s {len(ids):,}, {span}, {ids[0].subject.id} to {ids[-1].subject.id}")
    for table, rows in found.rows().items():
        console.line(f"  {table:<22} {rows:>12,} rows")
    _list(console, "report files" if done else "report files that would go", pruned.files)
    _list(console, "report files left: they are not what the run wrote any more", pruned.plan.files(Fate.LEFT))
    _list(console, "kept though older", [f"{subject}: {reason}" for subject, reason in found.kept.items()])
    _list(console, "files that could not be removed", pruned.failed)
    if not found.removals:
        console.line("nothing to remove")
    elif not done:
        console.line("nothing was removed; to remove this: python -m loader prune --yes")
    else:
        console.line(f"removed; receipt {pruned.receipt_id}. The database file stays as large, its space is used again")
        console.line(f"seal {pruned.seal.number}: {pruned.seal.seal}" if pruned.seal else "")


def _list(console: Console, title: str, entries: Sequence[str]) -> None:
    if entries:
        console.line(f"{title}: {len(entries):,}")
        for entry in entries[:_SHOWN]:
            console.line(f"  {entry}")
        if len(entries) > _SHOWN:
            console.line(f"  ... and {len(entries) - _SHOWN:,} more, all of them with --json")


def _object(settings: Settings, pruned: Pruned, *, done: bool) -> dict[str, Any]:
    return {
        "removed": done and bool(pruned.plan.removals),
        "retention_days": settings.retention.days,
        "begun_before": pruned.plan.before,
        "subjects": [
            {"kind": gone.subject.kind, "id": gone.subject.id, "began_at": gone.began, "rows": gone.rows}
            for gone in pruned.plan.removals
        ],
        "rows": pruned.plan.rows(),
        "files": pruned.files,
        "files_left": pruned.plan.files(Fate.LEFT),
        "files_failed": pruned.failed,
        "kept": [{"kind": kept.kind, "id": kept.id, "reason": why} for kept, why in pruned.plan.kept.items()],
        "receipt_id": pruned.receipt_id,
        "seal": {"number": pruned.seal.number, "seal": pruned.seal.seal} if pruned.seal else None,
    }
