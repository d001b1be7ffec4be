"""What the loader reads from dbt's tables and writes to `audit`: the SQL of both, in one place."""

import json
import os
import pwd
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loader.errors import StoppedEarly
from loader.storage.warehouse import Row, Warehouse, fetch, insert

FILE_COUNTS = (
    "parse_error_records",
    "invalid_records",
    "duplicate_records",
    "excepted_records",
    "ready_records",
)
DELIVERY_COUNTS = (
    "created_records",
    "exists_records",
    "failed_records",
    "unknown_records",
    "not_attempted_records",
)
STATS_COUNTS = ("total_records", *FILE_COUNTS, *DELIVERY_COUNTS)


# An index would have to be kept up to date for all rows of all runs; DuckDB skips what has no record between the two.
_TWICE = """
    select record_number from audit.fct_import_records where run_id = ? and record_number between ? and ?
    group by record_number having count(*) > 1 order by record_number limit 1
"""


@dataclass
class Journal:
    """The events of one run, kept until the next commit."""

    run_id: str
    entity: str
    source_hash: str | None = None
    pending: list[Row] = field(default_factory=list)

    def note(self, action: str, **details: Any) -> None:
        """Add one step of the run."""
        self.pending.append(
            {
                "run_id": self.run_id,
                "event_time": now(),
                "action": action,
                "entity_type": self.entity,
                "source_hash": self.source_hash,
                "details": json.dumps(details, default=str),
            }
        )

    def taken(self) -> list[Row]:
        """Return the pending events and forget them."""
        events, self.pending = self.pending, []
        return events


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


def event_details(warehouse: Warehouse, run_id: str, action: str) -> Row | None:
    """Return the details of a step of a run; None when the run has not done it."""
    query = "select details from audit.fct_run_events where run_id = ? and action = ? order by event_time limit 1"
    events = warehouse.rows(query, [run_id, action])
    details: Row | None = json.loads(events[0]["details"]) if events else None
    return details


def insert_run(connection: Any, database: Path, row: Row) -> None:
    """Append a row to `fct_runs`, on a connection that is open already.

    Raises:
        StoppedEarly: the run has a row already; the transaction is rolled back with it.

    """
    if fetch(connection, "select 1 from audit.fct_runs where run_id = ?", [row["run_id"]]):
        raise StoppedEarly(_closed_by_another(database, f"run {row['run_id']} has a row in audit.fct_runs already"))
    insert(connection, "fct_runs", [row])


def insert_outcomes(connection: Any, database: Path, rows: Sequence[Row]) -> None:
    """Append the outcomes of records of one run to `fct_import_records`, on a connection that is open already.

    Raises:
        StoppedEarly: a record of them has an outcome of this run already; the transaction is rolled back with it.

    """
    insert(connection, "fct_import_records", rows)
    numbers = [row["record_number"] for row in rows]
    if twice := fetch(connection, _TWICE, [rows[0]["run_id"], min(numbers), max(numbers)]):
        what = f"record {twice[0]['record_number']} of run {rows[0]['run_id']} has an outcome already"
        raise StoppedEarly(_closed_by_another(database, what))


def _closed_by_another(database: Path, what: str) -> str:
    return (
        f"{database}: {what}: another run has closed this one, and it keeps nothing twice; run the same command again"
    )


def new_run_id() -> str:
    """Return an id that sorts by time, as 20260130T101512Z-4f2a9c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
