"""What `prune` may remove: what began before the retention, but nothing that a later run still needs."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from loader.audit.digests import INVOCATION, RECEIPT, RUN, Content, Subject, audit_tables, contents, subjects
from loader.audit.journal import PLACE, new_run_id
from loader.audit.proof import removed_before, row_problems
from loader.audit.seals import Seal, add_seals, chain, noted, seal_finished
from loader.storage.warehouse import TEXTS, Row, Warehouse, fetch, in_bulk, insert

SEALED_LATER = "sealed after that day"
UNFINISHED, NEEDED, ALTERED = "unfinished", "needed by a run that is kept", "not as it was sealed: run audit-verify"
# Kept runs with the reason; what `history` makes of them is not to change.
_KEPT_RUNS = {
    "has records whose fate is unknown": """
        select distinct run_id from audit.fct_import_records as lost inner join audit.fct_runs as runs using (run_id)
        where lost.result = 'unknown' and not exists (
            select 1 from audit.fct_import_records as settled
            inner join audit.fct_runs as others on settled.run_id = others.run_id
            where settled.result in ('created', 'exists') and settled.reference_number = lost.reference_number
                and settled.entity_type = lost.entity_type and others.address is not distinct from runs.address
                and coalesce(others.sequence, others.rowid) > coalesce(runs.sequence, runs.rowid)
        )
    """,
    "left something open that the next run of its file goes on with": f"""
        select arg_max(run_id, {PLACE}) as run_id from audit.fct_runs where mode = 'import' and gate = 'open'
        group by address, entity_type, source_sha256
        having arg_max(not_attempted_records + unknown_records, {PLACE}) > 0
    """,  # noqa: S608 - our own names
}
# For records that a kept run has left unknown and no kept run has settled: the last run that has.
_SETTLED_BY = """
    with outcomes as (
        select coalesce(runs.sequence, runs.rowid) as position, records.run_id, records.entity_type, reference_number,
            result, address,
            list_contains(from_json(?, '["varchar"]'), records.run_id) as is_kept
        from audit.fct_import_records as records inner join audit.fct_runs as runs using (run_id)
        where result in ('unknown', 'created', 'exists')
    )
    select distinct arg_max(run_id, position) filter (where result <> 'unknown') as run_id
    from outcomes group by entity_type, reference_number, address
    having bool_or(is_kept and result = 'unknown') and bool_or(result <> 'unknown')
        and not bool_or(is_kept and result <> 'unknown')
"""
# What kept runs name, and what the gate judges the last build by.
_INVOCATIONS = """
    select invocation_id from audit.fct_runs where list_contains(from_json($kept, '["varchar"]'), run_id)
    union
    select try_cast(details as json) ->> 'invocation_id' from audit.fct_run_events
    where list_contains(from_json($kept, '["varchar"]'), run_id)
    union
    select arg_max(invocation_id, finished_at)
    from audit.fct_dbt_payloads inner join audit.fct_dbt_invocations using (invocation_id) group by entity_type
    union
    select arg_max(invocation_id, finished_at)
    from audit.fct_dbt_results inner join audit.fct_dbt_invocations using (invocation_id)
    where status not in ('not_run', 'passed_before') group by entity_type, name
"""
# The runs whose rows in a table outlive them, because the next run begins with the last one there.
_LAST = {
    "fct_pacing": f"select arg_max(run_id, {PLACE}) from audit.fct_pacing group by address, endpoint",  # noqa: S608
    "fct_contracts": f"select arg_max(run_id, {PLACE}) from audit.fct_contracts group by address, entity_type",  # noqa: S608
}


class Fate(Enum):
    """What becomes of a report file: it goes, it is not what was written any more, or it is not there."""

    REMOVED = "removed"
    LEFT = "left"
    GONE = "gone"


class ReportFile(NamedTuple):
    """A report file that a run wrote: its path, its SHA-256 then, and what becomes of it."""

    path: str
    sha256: str
    fate: Fate


@dataclass(frozen=True)
class Removal:
    """The rows of one subject that go, table by table, and its report files."""

    subject: Subject
    began: datetime
    tables: Content
    files: tuple[ReportFile, ...]

    @property
    def rows(self) -> int:
        """Return how many rows go."""
        return sum(table["rows"] for table in self.tables.values())


@dataclass(frozen=True)
class Plan:
    """The subjects that go, oldest first, and those that are kept though they are older, with the reason."""

    before: datetime
    removals: list[Removal]
    kept: dict[Subject, str]

    def rows(self) -> dict[str, int]:
        """Return how many rows go, by table."""
        counts: Counter[str] = Counter()
        for removal in self.removals:
            counts.update({table: content["rows"] for table, content in removal.tables.items()})
        return dict(sorted(counts.items()))

    def files(self, fate: Fate) -> list[str]:
        """Return the paths of the report files of this fate."""
        return [file.path for removal in self.removals for file in removal.files if file.fate is fate]


def plan(connection: Any, moment: datetime, days: int) -> Plan:
    """Return what goes of the audit trail when `days` days before `moment`, UTC without a zone, are kept.

    The connection is within a transaction. A subject is as old as its beginning.
    """
    before, states = moment - timedelta(days=days), subjects(connection)
    began = {
        Subject(row["kind"], row["subject_id"]): row["began_at"]
        for row in fetch(connection, "select kind, subject_id, began_at from audit.fct_receipts")
    } | {subject: state["began"] for subject, state in states.items()}
    old = {subject for subject in began if subject.kind != RECEIPT and began[subject] and began[subject] < before}
    seals = chain(connection)
    kept = _kept(
        connection, states, old, {seal.subject for seal in seals if seal.sealed_at and seal.sealed_at <= before}
    )
    tables = audit_tables(connection)
    chosen = sorted(old - set(kept), key=lambda subject: (began[subject], subject))
    held, gone = contents(connection, tables, chosen), removed_before(connection)
    for seal in seals:
        # Rows that were changed are kept: they are the evidence.
        rows, subject = held.get(seal.subject), seal.subject
        if rows and (seal.seal != seal.computed() or any(row_problems(seal, rows, gone.get(subject, {})))):
            kept[subject] = ALTERED
            del held[subject]
    staying = {table: {run for (run,) in connection.execute(query).fetchall()} for table, query in _LAST.items()}
    files = _files(connection, chosen)
    removals = []
    for subject in (subject for subject in chosen if subject in held):
        going = {name: content for name, content in held[subject].items() if subject.id not in staying.get(name, ())}
        if going:
            removals.append(Removal(subject, began[subject], going, tuple(files[subject.id or ""])))
    return Plan(before, removals, {subject: reason for subject, reason in sorted(kept.items()) if subject in old})


def _kept(
    connection: Any, states: dict[Subject, Row], old: set[Subject], sealed_in_time: set[Subject]
) -> dict[Subject, str]:
    """Return what is kept whatever its age, and what that and the younger runs need."""
    kept = {subject: UNFINISHED for subject, state in states.items() if state["is_open"]}
    for reason, query in _KEPT_RUNS.items():
        for row in fetch(connection, query):
            kept.setdefault(Subject(RUN, row["run_id"]), reason)
    # What a receipt says of an age is held against the seal: that alone nobody can make older.
    for subject in old - sealed_in_time:
        kept.setdefault(subject, SEALED_LATER)
    young = {subject.id for subject in states if subject.kind == RUN and subject not in old}

    def runs() -> str:
        return in_bulk(sorted(young | {subject.id for subject in kept if subject.kind == RUN}, key=str))

    while found := fetch(connection, _SETTLED_BY, [runs()]):
        kept |= {Subject(RUN, row["run_id"]): NEEDED for row in found}
    named = connection.execute(_INVOCATIONS, {"kept": runs()}).fetchall()
    return kept | {Subject(INVOCATION, invocation): NEEDED for (invocation,) in named if invocation}


def _files(connection: Any, chosen: list[Subject]) -> dict[str, list[ReportFile]]:
    query = (
        "select run_id, path, sha256 from audit.fct_output_files "  # noqa: S608 - our own text
        f"where run_id in (select unnest({TEXTS})) order by path"
    )
    files: defaultdict[str, list[ReportFile]] = defaultdict(list)
    for row in fetch(connection, query, [in_bulk([subject.id for subject in chosen if subject.kind == RUN])]):
        files[row["run_id"]].append(ReportFile(row["path"], row["sha256"], _fate(row["path"], row["sha256"])))
    return files


def remove(
    warehouse: Warehouse, moment: datetime, days: int, notify: Callable[[str], None]
) -> tuple[Plan, str | None, Seal | None]:
    """Remove the rows that are older than `days` at `moment` (UTC); return the plan, the receipt and the last seal.

    The caller holds the run lock. What is not sealed yet is sealed first.
    """
    with noted(warehouse, notify) as connection:
        last = seal_finished(connection, notify)
        found = plan(connection, moment, days)
        if not found.removals:
            return found, None, last
        _delete(connection, found)
        receipt_id = new_run_id()
        row = {"receipt_id": receipt_id, "pruned_at": moment, "retention_days": days}
        insert(connection, "fct_receipts", [row | _receipt(removal) for removal in found.removals])
        last = add_seals(connection, [Subject(RECEIPT, receipt_id)])
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
            if name.fullmatch(Path(path).name) and _fate(path, sha256) is Fate.REMOVED:
                found.append(path)
    return found


def _named(files: str | None) -> list[tuple[str, str]]:
    """Return the path and SHA-256 of every file of a receipt; a text that is not of that form names none."""
    try:
        return [(str(file["path"]), str(file["sha256"])) for file in json.loads(files or "[]")]
    except (ValueError, TypeError, KeyError):
        return []


def _fate(path: str, sha256: str) -> Fate:
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
    going = [{"path": file.path, "sha256": file.sha256} for file in removal.files if file.fate is Fate.REMOVED]
    return {
        "kind": removal.subject.kind,
        "subject_id": removal.subject.id,
        "began_at": removal.began,
        "rows": removal.rows,
        "content": json.dumps(removal.tables, sort_keys=True),
        "files": json.dumps(going),
        "files_left": json.dumps([file.path for file in removal.files if file.fate is Fate.LEFT]),
    }
