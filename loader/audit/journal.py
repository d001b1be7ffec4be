"""What a run leaves in `audit`: its steps as they happen, and in the end its row of `fct_runs`."""

import json
import os
import pwd
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loader.errors import StoppedEarly
from loader.storage.warehouse import Row, Warehouse, fetch, insert

FILE_COUNTS = ("parse_error_records", "invalid_records", "duplicate_records", "excepted_records", "ready_records")
DELIVERY_COUNTS = ("created_records", "exists_records", "failed_records", "unknown_records", "not_attempted_records")
STATS_COUNTS = ("total_records", *FILE_COUNTS, *DELIVERY_COUNTS)


@dataclass(frozen=True)
class Validated:
    """A validated file: which build of it, what was counted in it, and the hash of what came out."""

    invocation_id: str
    source_file: str
    source_sha256: str
    parse_error_records: int
    invalid_records: int
    duplicate_records: int
    excepted_records: int
    ready_records: int
    warnings: int
    output_hash: str

    def counts(self, names: Sequence[str]) -> dict[str, int]:
        """Return the counts of these names."""
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class RunStart(Validated):
    """What is known of a run before it posts: its file, and what was asked for."""

    run_id: str
    mode: str
    environment: str
    address: str | None
    entity_type: str
    batch_size: int
    start_time: datetime
    total_records: int
    gate: str

    def ended(self, results: Mapping[str, int], end_time: datetime | None, stopped_because: str | None) -> "RunRow":
        """Return the row of the run; `results` has the number of its ready records by what became of them."""
        delivered: dict[str, Any] = {name: results.get(name.removesuffix("_records"), 0) for name in DELIVERY_COUNTS}
        counted = sum(self.counts(FILE_COUNTS).values()), sum(delivered.values())
        closes = counted == (self.total_records, self.ready_records)
        return RunRow(**vars(self), **delivered, closes=closes, end_time=end_time, stopped_because=stopped_because)


@dataclass(frozen=True)
class RunRow(RunStart):
    """One row of `audit.fct_runs`: a run that has ended. One that was killed has no exit code."""

    created_records: int
    exists_records: int
    failed_records: int
    unknown_records: int
    not_attempted_records: int
    closes: bool
    end_time: datetime | None
    stopped_because: str | None
    duration_seconds: float | None = None
    exit_code: int | None = None


# The order of the rows of an audit table with a column `sequence`, which a clock that is set back does not change.
PLACE = "coalesce(sequence, rowid)"


@dataclass
class Journal:
    """The steps of one run, kept until the next commit."""

    run_id: str
    entity: str
    source_hash: str | None = None
    _pending: list[Row] = field(default_factory=list)

    def note(self, action: str, **details: Any) -> None:
        """Add one step of the run."""
        self._pending.append(
            {
                "run_id": self.run_id,
                "event_time": now(),
                "action": action,
                "entity_type": self.entity,
                "source_hash": self.source_hash,
                "details": json.dumps(details, default=str),
            }
        )

    def write(self, connection: Any) -> None:
        """Append the steps since the last commit to `fct_run_events`, on a connection that is open already."""
        steps, self._pending = self._pending, []
        if steps:
            append(connection, "fct_run_events", steps)


def now() -> datetime:
    """Return the time in UTC, without a zone, as the audit tables hold it."""
    return datetime.now(UTC).replace(tzinfo=None)


def operator() -> str:
    """Return who runs this, as the system names them: user@host."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"


def event_details(warehouse: Warehouse, run_id: str, action: str) -> dict[str, Any] | None:
    """Return the details of a step of a run as JSON has them; None when the run has not done it."""
    query = "select details from audit.fct_run_events where run_id = ? and action = ? order by event_time limit 1"
    details: list[dict[str, Any]] = [json.loads(row["details"]) for row in warehouse.rows(query, [run_id, action])]
    return details[0] if details else None


def insert_run(connection: Any, database: Path, row: RunRow) -> None:
    """Append a row to `fct_runs` on an open connection, or raise StoppedEarly where the run has one already."""
    if fetch(connection, "select 1 from audit.fct_runs where run_id = ?", [row.run_id]):
        raise closed_by_another(database, f"run {row.run_id} has a row in audit.fct_runs already")
    append(connection, "fct_runs", [vars(row)])


def append(connection: Any, table: str, rows: Sequence[Row]) -> None:
    """Append rows to an audit table that numbers them in the order in which they are written.

    What an earlier version has written has no number, and stands before, as DuckDB holds it.
    """
    query = f"select coalesce(max({PLACE}), -1) + 1 as next from audit.{table}"  # noqa: S608 - our own names
    (first,) = fetch(connection, query)
    insert(connection, table, [row | {"sequence": first["next"] + place} for place, row in enumerate(rows)])


def closed_by_another(database: Path, what: str) -> StoppedEarly:
    """Return the error of a run that finds in `audit` what it was about to write itself."""
    return StoppedEarly(
        f"{database}: {what}: another run has closed this one, and it keeps nothing twice; run the same command again"
    )


def new_run_id() -> str:
    """Return an id that sorts by time, as 20260130T101512Z-4f2a9c: only its last three digits are random."""
    moment = datetime.now(UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{moment.microsecond * 4096 // 1_000_000:03x}{secrets.randbelow(4096):03x}"
