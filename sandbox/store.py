"""Records and the request log in one SQLite file; both outlive the process, a kill included."""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_REFERENCE_WIDTH = 20

_TABLES = """
create table if not exists incidents (
    id integer primary key autoincrement,
    reference_number text not null unique,
    title text not null,
    description text not null,
    incident_date text not null,
    incident_type text not null,
    severity text not null,
    status text not null,
    location text,
    tenant text not null,
    created_at text not null
);
create table if not exists requests (
    id integer primary key autoincrement,
    at text not null,
    method text not null,
    path text not null,
    reference_number text,
    status integer,
    fault text
);
"""

_INSERT = """
insert into incidents
    (reference_number, title, description, incident_date, incident_type, severity, status, location,
     tenant, created_at)
values
    (:reference_number, :title, :description, :incident_date, :incident_type, :severity, :status, :location,
     :tenant, :created_at)
returning *
"""

# A backslash escapes a wildcard, as it does in PostgreSQL's ILIKE.
_FOUND_FOLDED = r"""
from incidents
where tenant = :tenant and (
    folded(reference_number) like :pattern escape '\'
    or folded(title) like :pattern escape '\'
    or folded(description) like :pattern escape '\')
"""
# SQLite's own LIKE ignores the case of ASCII letters only, and is five times as fast.
_FOUND = _FOUND_FOLDED.replace("folded(", "(")


class StoreRefusalError(Exception):
    """The database would not take the record: its reference is too long, holds a NUL or is taken."""


class Store:
    """One connection, used from the server's single thread; every statement is its own transaction."""

    def __init__(self, path: Path, ahead_seconds: float = 0.0) -> None:
        """Open or create the file at `path`, and its folder; its clock is that of the machine and `ahead_seconds`.

        Raises `OSError` or `sqlite3.Error` when that cannot be done.
        """
        self._ahead = timedelta(seconds=ahead_seconds)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.create_function("folded", 1, str.lower, deterministic=True)
        self._connection.execute("pragma journal_mode = wal")
        # What was written outlives a kill of the process; only the machine's own end could lose it, and the
        # platform's measured speed is not that of this machine's disk.
        self._connection.execute("pragma synchronous = off")
        self._connection.executescript(_TABLES)

    def now(self) -> datetime:
        """Give the time by the server's clock."""
        return datetime.now(UTC) + self._ahead

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def has_reference(self, reference: str) -> bool:
        """Tell whether any tenant has a record of this reference."""
        query = "select 1 from incidents where reference_number = ?"
        return self._connection.execute(query, [reference]).fetchone() is not None

    def insert(self, incident: Mapping[str, object], tenant: str) -> Row:
        """Store one incident (its columns) and give the record back; number it when it has no reference.

        Raises `StoreRefusalError` for a reference the column does not take.
        """
        reference = str(incident["reference_number"] or self._next_number())
        if len(reference) > _REFERENCE_WIDTH or "\0" in reference:
            raise StoreRefusalError("reference_number does not fit its column")
        values = {
            **incident,
            "reference_number": reference,
            "tenant": tenant,
            "created_at": _text(self.now()),
        }
        try:
            return dict(self._connection.execute(_INSERT, values).fetchone())
        except sqlite3.IntegrityError as error:
            raise StoreRefusalError("reference_number is taken") from error

    def one(self, tenant: str, record_id: int) -> Row | None:
        """Give one record of a tenant, None when it has none of this id."""
        query = "select * from incidents where tenant = ? and id = ?"
        row = self._connection.execute(query, [tenant, record_id]).fetchone()
        return dict(row) if row else None

    def find(self, tenant: str, search: str, limit: int, offset: int) -> tuple[list[Row], int]:
        """Give one page of a tenant's records, newest first, and the number of all that match `search`."""
        values = {"tenant": tenant, "pattern": f"%{search.lower()}%", "limit": limit, "offset": offset}
        found = _FOUND if search.isascii() else _FOUND_FOLDED
        total = self._connection.execute(f"select count(*) {found}", values).fetchone()[0]
        page = f"select * {found} order by id desc limit :limit offset :offset"
        return [dict(row) for row in self._connection.execute(page, values)], total

    def records(self) -> list[Row]:
        """Give every stored record of every tenant, oldest first."""
        return [dict(row) for row in self._connection.execute("select * from incidents order by id")]

    def log_request(self, method: str, path: str, reference: str | None, fault: str | None) -> int:
        """Write down a request before it is processed, so that a kill leaves it; give the row's id."""
        query = "insert into requests (at, method, path, reference_number, fault) values (?, ?, ?, ?, ?)"
        row = self._connection.execute(query, [_text(datetime.now(UTC)), method, path, reference, fault])
        return int(row.lastrowid or 0)

    def log_answer(self, request_id: int, status: int) -> None:
        """Add the status that is about to be sent to a request's row."""
        self._connection.execute("update requests set status = ? where id = ?", [status, request_id])

    def requests(self) -> list[Row]:
        """Give the request log, oldest first; `status` is null where no answer was sent."""
        return [dict(row) for row in self._connection.execute("select * from requests order by id")]

    def _next_number(self) -> str:
        year = datetime.now(UTC).year
        query = "select count(*) from incidents where reference_number glob ?"
        number = self._connection.execute(query, [f"INC-{year}-*"]).fetchone()[0] + 1
        while self.has_reference(f"INC-{year}-{number:04d}"):
            number += 1
        return f"INC-{year}-{number:04d}"


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
