"""Records and the request log in one SQLite file; both outlive the process, a kill included."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sandbox.entity import ENTITIES, Entity
from sandbox.records import Records, Row

# `reference_number` is the key of the body, whatever its entity calls it.
_LOG = """
create table if not exists requests (
    id integer primary key autoincrement,
    at text not null,
    method text not null,
    path text not null,
    reference_number text,
    status integer,
    fault text
)
"""


class Store:
    """One connection, used from the server's single thread; every statement is its own transaction."""

    def __init__(self, path: Path, ahead_seconds: float = 0.0, entities: Iterable[Entity] = ENTITIES.values()) -> None:
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
        self._connection.execute(_LOG)
        self.records = {
            entity.name: Records(entity, self._connection, lambda: _text(self.now())) for entity in entities
        }

    def now(self) -> datetime:
        """Give the time by the server's clock."""
        return datetime.now(UTC) + self._ahead

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

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


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
