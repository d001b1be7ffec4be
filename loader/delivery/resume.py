"""What earlier runs have left open: runs that never ended, and records whose fate nobody knows yet."""

import json
from array import array
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from loader.audit.journal import FILE_COUNTS, PLACE, Journal, RunRow, RunStart, append, insert_run, now
from loader.card import Card
from loader.delivery.begun import begun_records
from loader.delivery.limiter import MARGIN
from loader.delivery.pace import Pace
from loader.delivery.workers import Route
from loader.errors import Refused, StoppedEarly
from loader.storage.process import Process
from loader.storage.warehouse import NUMBERS, Warehouse, fetch

_LIMIT = f"""
    select requests_per_window, window_seconds from audit.fct_pacing
    where address = ? and endpoint = ? order by {PLACE} desc limit 1
"""  # noqa: S608 - our own names
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


class Limit(NamedTuple):
    """A rate limit that the API has named."""

    requests_per_window: int
    window_seconds: float


def last_limit(warehouse: Warehouse, address: str | None, card: Card) -> Limit | None:
    """Return the rate limit that the API named last, None where it has not; EtlError without tables."""
    found = warehouse.rows(_LIMIT, [address, card.endpoint])
    return Limit(**found[0]) if found else None


class Memory:
    """Lets the pace of a run begin with what earlier runs learned, and keeps what it learns itself.

    Runs that never ended are closed already.
    """

    def __init__(self, warehouse: Warehouse, pace: Pace, run: RunStart, route: Route) -> None:
        self._warehouse = warehouse
        self._pace = pace
        self._window_seconds = route.delivery.rate_limit_window_seconds
        self._where = {
            "run_id": run.run_id,
            "environment": run.environment,
            "address": run.address,
            "endpoint": route.card.endpoint,
        }
        limit = last_limit(warehouse, run.address, route.card)
        self._kept = limit.requests_per_window if limit else None
        moment = now()
        since = moment - timedelta(seconds=self._window_seconds * MARGIN)
        sent = warehouse.rows(_SENT, [run.address, run.entity_type, since] * 2)
        ages = [(moment - found["sent_at"]).total_seconds() for found in sent for _ in range(found["attempts"])]
        pace.remember(self._kept, ages)

    def keep(self) -> None:
        """Write the limit that the API named, when it is another one than is known already."""
        limit = self._pace.requests_per_window
        if limit == self._kept:
            return
        self._kept = limit
        learned = {"requests_per_window": limit, "window_seconds": self._window_seconds, "learned_at": now()}
        with self._warehouse.connection() as connection:
            append(connection, "fct_pacing", [self._where | learned])


POSTING_STARTED, POSTING_ENDED, SERVER_CLOCK = "posting_started", "posting_ended", "server_clock"
EARLIER_RUN = "earlier_run"
# The process of a run, in the details of `posting_started`; runs of earlier versions have kept none.
PROCESS = "process"
_ENDED = "the run ended without finishing: killed, or the machine stopped"
_OPENED = """
    select distinct on (run_id)
        run_id, details,
        (select max(event_time) from audit.fct_run_events as ends where ends.run_id = events.run_id) as end_time
    from audit.fct_run_events as events
    where action = 'posting_started' and entity_type = ? and run_id not in (select run_id from audit.fct_runs)
    order by run_id
"""
_LOSE = """
    insert into audit.fct_import_records by name
    select run_id, entity_type, record_number, line_number, reference_number, record_hash, {columns}
    from audit.{source} as records
    where run_id = ? and {condition} and not exists (
        select 1 from audit.fct_import_records as settled
        where settled.run_id = records.run_id and settled.record_number = records.record_number
    )
"""
_LOSE_BEGUN = _LOSE.format(
    source="fct_intents",
    columns=f"'unknown' as result, '{_ENDED}' as error_message",
    condition=f"(? or record_number in (select unnest({NUMBERS})))",
)
_LOSE_NOT_SENT = _LOSE.format(
    source="fct_records", columns="'not_attempted' as result, 0 as attempts", condition="status = 'valid'"
)
# A record is in doubt since the first request that may have stored it; where that was not written, since its intent.
# Both are times of our clock; with each run is kept how far the server's was ahead of it.
_LEFT = """
    with fates as (
        select run_id, record_number, reference_number, record_hash, result
        from {known} as records inner join audit.fct_runs as runs using (run_id)
        where runs.address = $address and records.entity_type = $entity and result <> 'not_attempted'
    ),
    sent as (
        select run_id, record_number, min(sent_at) as sent_at from audit.fct_attempts
        where was_sent and next_action = 'retry' group by run_id, record_number
    ),
    intended as (
        select run_id, record_number, min(intended_at) as intended_at from audit.fct_intents
        group by run_id, record_number
    ),
    clocks as (
        select run_id, max(cast(details ->> '$.ahead_seconds' as double)) as ahead_seconds
        from audit.fct_run_events where action = 'server_clock' group by run_id
    ),
    in_doubt as (
        select reference_number, record_hash,
            min(
                coalesce(sent_at, intended_at)
                + to_microseconds(cast(1e6 * coalesce(ahead_seconds, $ahead_seconds) as bigint))
            ) as since
        from fates
        left join sent using (run_id, record_number)
        left join intended using (run_id, record_number)
        left join clocks using (run_id)
        where result = 'unknown' group by reference_number, record_hash
    ),
    seen as (
        select distinct reference_number from fates where result in ('created', 'exists')
    )
    select record_number, seen.reference_number is not null as there, if(there, null, since) as since
    from payload.{payload} as payload
    left join in_doubt on in_doubt.reference_number = payload.{key} and in_doubt.record_hash = payload.record_hash
    left join seen on seen.reference_number = payload.{key}
    where invocation_id = $invocation
        and record_number not in (select record_number from audit.fct_import_records where run_id = $run)
    order by since is null, there, record_number
"""
_BEFORE = f"""
    select run_id, not_attempted_records + unknown_records > 0 as left_open from audit.fct_runs
    where mode = 'import' and gate = 'open' and address = ? and entity_type = ? and source_sha256 = ?
    order by {PLACE} desc limit 1
"""  # noqa: S608 - our own names
# An earlier version could keep two outcomes of one record.
_CARRY = """
    insert into audit.fct_import_records by name
    select distinct on (payload.record_number)
        ? as run_id, payload.record_number, payload.line_number, earlier.entity_type, earlier.reference_number,
        payload.record_hash, if(earlier.result = 'failed', 'failed', 'exists') as result, ? as confirmed_by,
        0 as attempts, earlier.status_code, earlier.api_id, earlier.error_message
    from payload.{payload} as payload
    inner join {known} as earlier
        on earlier.run_id = ? and earlier.reference_number = payload.{key}
        and earlier.record_hash = payload.record_hash
    where payload.invocation_id = ? and (earlier.result in ('created', 'exists') or ? and earlier.result = 'failed')
    order by payload.record_number, earlier.result = 'failed'
"""


@dataclass(frozen=True)
class Plan:
    """The numbers of the records to post, in this order.

    The first of them may have been stored by a request of ours whose answer was lost: `in_doubt` says since when, by
    the server's clock. The last `there` of them were seen on the platform by an earlier run: a 409 never makes them
    ours.
    """

    numbers: "array[int]"
    in_doubt: list[datetime]
    there: int


class OpenedRun(NamedTuple):
    """A run that has begun to post and has no end; `details` are those of its `posting_started`, as JSON.

    `end_time` is the time of its last event.
    """

    run_id: str
    details: str | None
    end_time: datetime | None


def close_unfinished(warehouse: Warehouse, journal: Journal, other_host_hours: int) -> list[tuple[RunRow, str]]:
    """Account for every record of the runs that began to post and never ended.

    The caller holds the run lock, and still the process of each such run is looked for: a lock file can be removed. A
    record with an intent and no outcome is `unknown` when its request had begun, or when nobody knows whether it had:
    it may be stored. All others without an outcome were never sent. That this run has closed them is kept with it.

    Returns:
        Their rows, each with why its process is only assumed to be dead, empty where that is known.

    Raises:
        Refused: what such a run has kept of its beginning is not what a run writes.
        StoppedEarly: such a run lives, or its process cannot be seen and it wrote less than `other_host_hours` ago.

    """
    with warehouse.connection() as connection:
        # All are judged before one is closed: when one of them lives, none is.
        dead = [(run, *_dead(warehouse, run, other_host_hours)) for run in opened_runs(connection, journal.entity)]
        closed = []
        for run, start, assumed in dead:
            journal.note("unfinished_run_closed", unfinished_run_id=run.run_id)
            begun = begun_records(warehouse.path, run.run_id)
            connection.execute(_LOSE_BEGUN, [run.run_id, begun is None, json.dumps(begun or [])])
            keep_not_attempted(connection, run.run_id)
            row = start.ended(counts(connection, run.run_id), run.end_time, _ENDED)
            insert_run(connection, warehouse.path, row)
            closed.append((row, assumed))
        if closed:
            journal.write(connection)
        return closed


def _dead(warehouse: Warehouse, opened: OpenedRun, other_host_hours: int) -> tuple[RunStart, str]:
    """Return what a run has kept of its beginning, and why it is only assumed to be dead, nothing where it is known."""
    try:
        details = json.loads(opened.details or "")
        kept = details.pop(PROCESS, None)
        process = None if kept is None else Process(**kept)
        began = datetime.fromisoformat(details["start_time"])
        # A run of an earlier version has not kept what was added since.
        names = dict.fromkeys(column.name for column in fields(RunStart))
        start = RunStart(**names | details | {"run_id": opened.run_id, "start_time": began})
        # Counts that are no numbers raise here.
        sum(start.counts(("total_records", *FILE_COUNTS)).values())
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Refused(
            f"{warehouse.path}: the event posting_started of run {opened.run_id} is not one that a run writes; "
            "run: python -m loader audit-verify"
        ) from None
    lives, run, last = process and process.lives(), f"{warehouse.path}: run {opened.run_id}", opened.end_time
    if process is None or lives is False:
        return start, ""
    if lives:
        raise StoppedEarly(
            f"{run} is under way, {process} lives; wait for it or end it, then run the same command again"
        )
    unseen = f"{process} cannot be seen from here"
    if other_host_hours and (last is None or now() - last < timedelta(hours=other_host_hours)):
        raise StoppedEarly(
            f"{run} may be under way: {unseen}, and it wrote at {str(last)[:19]} UTC; wait until it has been silent "
            f"for {other_host_hours} h, or, when you know that it has ended, set a lower other_host_hours in etl.toml, "
            "then run the same command again"
        )
    return start, f" (assumed: {unseen}, and was silent for over {other_host_hours} h)"


def opened_runs(connection: Any, entity: str) -> list[OpenedRun]:
    """Return the runs that began to post and have no end: dead ones, and the one under way, if any is."""
    return [OpenedRun(**row) for row in fetch(connection, _OPENED, [entity])]


def keep_not_attempted(connection: Any, run_id: str) -> None:
    """Keep the valid records of a run that have no outcome as `not_attempted`."""
    connection.execute(_LOSE_NOT_SENT, [run_id])


def carry_over(warehouse: Warehouse, run: RunStart, card: Card, journal: Journal, *, retry_failed: bool) -> str | None:
    """Open the run, and keep what the run before has settled where this one continues it; return that one's id.

    It continues the last one of the same source at the same address when that left something open. With `retry_failed`
    it does so in any case, and what the API refused stays refused. All of it is one transaction, with the steps of
    `journal` that open the run: a run that was opened has what it continues, wherever it is killed.
    """
    before = warehouse.rows(_BEFORE, [run.address, run.entity_type, run.source_sha256])
    known = known_records(warehouse, card.entity)
    with warehouse.connection() as connection:
        journal.write(connection)
        if not before or not (retry_failed or before[0]["left_open"]):
            return None
        earlier = str(before[0]["run_id"])
        carried = _CARRY.format(payload=card.payload_model, key=card.key, known=known)
        connection.execute(carried, [run.run_id, EARLIER_RUN, earlier, run.invocation_id, retry_failed])
    return earlier


def known_records(warehouse: Warehouse, entity: str) -> str:
    """Return the relation of what became of records, for a query.

    The version before made the hashes of records otherwise. Where such rows are there, they get the `record_hash` that
    the same record of the last build has now.
    """
    table, former = "audit.fct_import_records", f"int_{entity}_former_hashes"
    is_former = warehouse.rows(
        "select 1 from information_schema.tables where table_schema = 'validation' and table_name = ? "  # noqa: S608
        f"and exists (select 1 from {table} where entity_type = ? and not starts_with(record_hash, 'v'))",
        [former, entity],
    )
    if not is_former:
        return table
    return (
        "(select kept.* replace (coalesce(former.record_hash, kept.record_hash) as record_hash) "  # noqa: S608
        f"from {table} as kept left join validation.{former} as former on kept.record_hash = former.former_hash)"
    )


def plan(warehouse: Warehouse, run: RunStart, card: Card, ahead_seconds: float) -> Plan:
    """Return the records to post: first those of which an answer was lost, then the others, then those there already.

    `ahead_seconds` is how far the server's clock is ahead of ours, for runs that have not kept it.
    """
    numbers, in_doubt, there = array("q"), list[datetime](), 0
    parameters = {
        "address": run.address,
        "entity": run.entity_type,
        "ahead_seconds": ahead_seconds,
        "invocation": run.invocation_id,
        "run": run.run_id,
    }
    known = known_records(warehouse, card.entity)
    left = _LEFT.format(payload=card.payload_model, key=card.key, known=known)
    for number, is_there, since in warehouse.tuples(left, parameters):
        numbers.append(number)
        there += is_there
        if since is not None:
            in_doubt.append(since)
    return Plan(numbers, in_doubt, there)


def counts(connection: Any, run_id: str) -> dict[str, int]:
    """Return the results of a run that are kept already, with their numbers of records."""
    query = "select result, count(*) as records from audit.fct_import_records where run_id = ? group by result"
    return {row["result"]: row["records"] for row in fetch(connection, query, [run_id])}
