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


def recall(warehouse: Warehouse, pace: Pace, row: Row, route: Route) -> None:
    """Let the pace of a run begin with what earlier runs learned; `row` is the run's, unfinished ones are closed."""
    moment = now()
    limits = warehouse.rows(_LIMIT, [row["address"], route.endpoint])
    since = moment - timedelta(seconds=route.delivery.rate_limit_window_seconds * MARGIN)
    sent = warehouse.rows(_SENT, [row["address"], row["entity_type"], since] * 2)
    ages = [(moment - found["sent_at"]).total_seconds() for found in sent for _ in range(found["attempts"])]
    pace.remember(limits[0]["requests_per_window"] if limits else None, ages)


def keep(warehouse: Warehouse, pace: Pace, row: Row, route: Route) -> None:
    """Write the limit that the API named during this run, if it named one."""
    if pace.requests_per_window:
        learned = {
            "run_id": row["run_id"],
            "environment": row["environment"],
            "address": row["address"],
            "endpoint": route.endpoint,
            "requests_per_window": pace.requests_per_window,
            "window_seconds": route.delivery.rate_limit_window_seconds,
            "learned_at": now(),
        }
        warehouse.insert("fct_pacing", [learned])
