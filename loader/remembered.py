"""What one run leaves the next about the rate limiter of an address: the limit it learned, and what it sent lately."""

from datetime import timedelta

from loader.audit import now
from loader.delivery import Route
from loader.limiter import MARGIN
from loader.pacing import Pace
from loader.warehouse import Row, Warehouse

_LIMIT = """
    select requests_per_window from audit.fct_pacing
    where address = ? and endpoint = ? order by learned_at desc limit 1
"""
# An intent without an answer counts from its commit: a killed run may have sent it then or later. The limiter's first
# answer corrects what is guessed wrongly.
_SENT = """
    select records.attempted_at as sent_at, records.attempts
    from audit.fct_import_records as records inner join audit.fct_runs as runs using (run_id)
    where runs.address = ? and records.entity_type = ? and records.attempted_at > ?
    union all
    select intents.intended_at as sent_at, 1 as attempts
    from audit.fct_intents as intents
    inner join audit.fct_import_records as records using (run_id, record_number)
    inner join audit.fct_runs as runs using (run_id)
    where runs.address = ? and intents.entity_type = ? and intents.intended_at > ?
        and records.result = 'unknown' and records.attempted_at is null
"""


class Memory:
    """Lets the pace of a run begin with what earlier runs learned, and keeps what it learns itself.

    `row` is the row of `fct_runs` of the run as far as it is known; runs that never ended are closed already.
    """

    def __init__(self, warehouse: Warehouse, pace: Pace, row: Row, route: Route) -> None:
        self._warehouse = warehouse
        self._pace = pace
        self._window_seconds = route.delivery.rate_limit_window_seconds
        self._where = {
            "run_id": row["run_id"],
            "environment": row["environment"],
            "address": row["address"],
            "endpoint": route.card.endpoint,
        }
        limits = warehouse.rows(_LIMIT, [row["address"], route.card.endpoint])
        self._kept = limits[0]["requests_per_window"] if limits else None
        moment = now()
        since = moment - timedelta(seconds=self._window_seconds * MARGIN)
        sent = warehouse.rows(_SENT, [row["address"], row["entity_type"], since] * 2)
        ages = [(moment - found["sent_at"]).total_seconds() for found in sent for _ in range(found["attempts"])]
        pace.remember(self._kept, ages)

    def keep(self) -> None:
        """Write the limit that the API named, when it is another one than is known already."""
        limit = self._pace.requests_per_window
        if limit == self._kept:
            return
        self._kept = limit
        learned = {"requests_per_window": limit, "window_seconds": self._window_seconds, "learned_at": now()}
        self._warehouse.insert("fct_pacing", [self._where | learned])
