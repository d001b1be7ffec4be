"""The sandbox under rehearsal: killed and started again on the same port and file, with the faults that are left."""

import sqlite3
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rehearsal.plan import OUTAGE_REQUESTS, Plan
from sandbox.process import running_sandbox

# In one window of WINDOW seconds; low enough to be met, quick enough for a rehearsal.
RATE_LIMIT, WINDOW = 50, 1.0
_OPTIONS = (
    *("--environment", "staging", "--latency-ms", "10"),
    *("--rate-limit", str(RATE_LIMIT), "--rate-window", str(WINDOW)),
)


class Server:
    """One sandbox process after the other. What was asked and answered outlives a kill, in its SQLite file."""

    def __init__(self, database: Path, plan: Plan) -> None:
        self._database = database
        self._faults = plan.faults
        self._events = list(plan.events)
        self._running = ExitStack()
        self._start_at: float | None = None
        self.killed_at: list[float] = []
        self.outages = 0
        self._start(0)
        self.url, self.token = self._sandbox.url, self._sandbox.token()

    def close(self) -> None:
        """End the process."""
        self._running.close()

    def tend(self) -> None:
        """Let happen what is due: a kill, the start after one, an outage."""
        if self._start_at is not None:
            if time.time() >= self._start_at:
                self._start(urlsplit(self.url).port or 0)
            return
        if self._events and self.seen() >= self._events[0].at_request:
            event = self._events.pop(0)
            if event.down is None:
                self._sandbox.fault("status", OUTAGE_REQUESTS, value=503)
                self.outages += 1
            else:
                self._sandbox.process.kill()
                self.killed_at.append(time.time())
                self._running.close()
                self._start_at = time.time() + event.down

    def seen(self) -> int:
        """Return how many requests have arrived so far."""
        return int(self._rows("select coalesce(max(id), 0) as seen from requests")[0]["seen"])

    def stored(self) -> int:
        """Return how many records are stored."""
        return int(self._rows("select count(*) as stored from incidents")[0]["stored"])

    def _start(self, port: int) -> None:
        self._start_at = None
        options = (*_OPTIONS, "--port", str(port))
        self._sandbox = self._running.enter_context(running_sandbox(self._database, *options))
        met = Counter((row["fault"], row["reference_number"]) for row in self._rows("select * from requests"))
        for fault in self._faults:
            if (left := fault.count - met[fault.kind, fault.reference]) > 0:
                value = {} if fault.value is None else {"value": fault.value}
                self._sandbox.fault(fault.kind, left, reference=fault.reference, **value)

    def _rows(self, query: str) -> list[dict[str, Any]]:
        return read_sqlite(self._database, query)


def read_sqlite(database: Path, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query; the file is not changed."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]
