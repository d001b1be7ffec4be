"""Carries out a plan of `retention`: rows, receipt and seal in one transaction, report files after it.

A kill between the two leaves files that their receipt names: the next `prune --yes` removes them.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from loader.anchor import read_anchor
from loader.job import new_run_id
from loader.seals import Seal, add_seals, chain, known, note, seal_finished
from loader.subjects import RECEIPT, Subject, audit_tables, contents
from loader.trail.retention import Plan, Removal, plan
from loader.warehouse import TEXTS, Row, Warehouse, fetch, in_bulk, insert


class Fate(Enum):
    """What becomes of a report file: it goes, it is not what was written any more, or it is not there."""

    REMOVED = "removed"
    LEFT = "left"
    GONE = "gone"


def remove(
    warehouse: Warehouse, moment: datetime, days: int, notify: Callable[[str], None]
) -> tuple[Plan, str | None, Seal | None]:
    """Remove the rows that are older than `days` at `moment` (UTC); return the plan, the receipt and the last seal.

    The caller holds the run lock. What is not sealed yet is sealed first.
    """
    anchor = read_anchor(warehouse.path)
    with warehouse.connection() as connection:
        last = seal_finished(connection, notify)
        found = plan(connection, moment, days)
        receipt_id = new_run_id() if found.removals else None
        if receipt_id:
            _delete(connection, found)
            row = {"receipt_id": receipt_id, "pruned_at": moment, "retention_days": days}
            insert(connection, "fct_receipts", [row | _receipt(removal) for removal in found.removals])
            last = add_seals(connection, [Subject(RECEIPT, receipt_id)])
        before = known(connection, anchor)
    if last:
        note(warehouse, last, notify, before=before)
    return found, receipt_id, last


def remove_files(warehouse: Warehouse) -> list[str]:
    """Remove every report file that a receipt names and that is what the run wrote; return what could not be."""
    with warehouse.connection(read_only=True) as connection:
        named = left_over(connection)
    failed = []
    for path in named:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            failed.append(f"{path}: {error.strerror}")
    return failed


def left_over(connection: Any) -> list[str]:
    """Return the report files that should be gone: a receipt that is as it was sealed names them.

    They have the name of a report of the run that was removed, and the content that the run wrote.
    """
    held = contents(connection, [table for table in audit_tables(connection) if table.name == "fct_receipts"])
    proven = {
        seal.subject_id
        for seal in chain(connection)
        if seal.kind == RECEIPT and seal.seal == seal.computed() and seal.tables == held.get(seal.subject)
    }
    found = []
    for row in fetch(connection, "select receipt_id, subject_id, files from audit.fct_receipts order by pruned_at"):
        name = re.compile(rf"[a-z0-9_]+_{re.escape(row['subject_id'] or '')}\.(csv|json)")
        for path, sha256 in _named(row["files"]) if row["receipt_id"] in proven else []:
            if name.fullmatch(Path(path).name) and file_fate(path, sha256) is Fate.REMOVED:
                found.append(path)
    return found


def _named(files: str | None) -> list[tuple[str, str]]:
    """Return the path and SHA-256 of every file of a receipt; a text that is not of that form names none."""
    try:
        return [(str(file["path"]), str(file["sha256"])) for file in json.loads(files or "[]")]
    except (ValueError, TypeError, KeyError):
        return []


def fates(found: Plan) -> dict[Fate, list[str]]:
    """Return the paths of the report files of a plan by what becomes of them."""
    paths: dict[Fate, list[str]] = {fate: [] for fate in Fate}
    for removal in found.removals:
        for path, sha256 in removal.files:
            paths[file_fate(path, sha256)].append(path)
    return paths


def file_fate(path: str, sha256: str) -> Fate:
    """Tell what becomes of a report file; one that cannot be read is left."""
    try:
        with Path(path).open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return Fate.GONE
    except OSError:
        return Fate.LEFT
    return Fate.REMOVED if same else Fate.LEFT


def _delete(connection: Any, found: Plan) -> None:
    for table in audit_tables(connection):
        going = [removal.subject for removal in found.removals if table.name in removal.tables]
        if going:
            connection.execute(
                f"delete from {table.relation} where {table.id_column} in (select unnest({TEXTS}))",  # noqa: S608
                [in_bulk([subject.id for subject in going])],
            )


def _receipt(removal: Removal) -> Row:
    by_fate = [(path, sha256, file_fate(path, sha256)) for path, sha256 in removal.files]
    return {
        "kind": removal.subject.kind,
        "subject_id": removal.subject.id,
        "began_at": removal.began,
        "rows": removal.rows,
        "content": json.dumps(removal.tables, sort_keys=True),
        "files": json.dumps(
            [{"path": path, "sha256": sha256} for path, sha256, fate in by_fate if fate is Fate.REMOVED]
        ),
        "files_left": json.dumps([path for path, _, fate in by_fate if fate is Fate.LEFT]),
    }
