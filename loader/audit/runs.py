"""The runs that the audit trail knows, finished or not, and the last dbt build, which no run may have seen yet."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loader.audit.journal import PLACE, RunRow
from loader.errors import Refused
from loader.storage.lock import lock_path, running_process
from loader.storage.warehouse import Warehouse, fetch

_RUN = f"""
    select {", ".join(column.name for column in fields(RunRow))}
    from audit.fct_runs where run_id = $run_id or $run_id = 'last' order by {PLACE} desc limit 1
"""  # noqa: S608 - our own names


def find_run(warehouse: Warehouse, run_id: str) -> RunRow:
    """Return the row of a finished run, of the last one for `last`; raise Refused where there is no such run."""
    if found := warehouse.rows(_RUN, {"run_id": run_id}):
        return RunRow(**found[0])
    with warehouse.connection(read_only=True) as connection:
        run = read_runs(connection).get(run_id)
    if not run:
        raise _unknown(warehouse, run_id)
    if run.refused:
        raise Refused(f"run {run_id} was refused and wrote no file: {run.refused}")
    then = "the next import accounts for it" if run.has_posted else "then run the same command again"
    raise Refused(f"run {run_id} did not end: it is under way, or was killed; {then}")


def known_run_id(warehouse: Warehouse, run_id: str) -> str:
    """Return the id of a run that has left anything in `audit`, or raise Refused; `last` is the last finished one."""
    if found := warehouse.rows(_RUN, {"run_id": run_id}):
        return str(found[0]["run_id"])
    if not warehouse.rows("select 1 from audit.fct_run_events where run_id = ? limit 1", [run_id]):
        raise _unknown(warehouse, run_id)
    return run_id


def _unknown(warehouse: Warehouse, run_id: str) -> Refused:
    if warehouse.rows("select 1 from audit.fct_probe_checks where run_id = ? limit 1", [run_id]):
        return Refused(
            f"run {run_id} was a contract probe whose document was not kept; audit.fct_probe_checks has its checks"
        )
    runs = warehouse.rows(f"select run_id from audit.fct_runs order by {PLACE} desc limit 3")  # noqa: S608
    if not runs:
        return Refused(f"{warehouse.path}: there is no run yet; run: python -m loader --validate-only")
    names = ", ".join(row["run_id"] for row in runs)
    return Refused(f"{warehouse.path}: no run {run_id[:80]!r}; the last ones are {names}; or say: last")


# In the order in which they began to write, which a clock that is set back does not change.
_RUNS = f"""
    with noted as (
        select
            run_id,
            any_value(details) filter (where action = 'run_started') as started,
            any_value(details) filter (where action = 'posting_started') as opened,
            any_value(details ->> 'invocation_id') filter (where action in ('built', 'gate_opened')) as invocation_id,
            any_value(details ->> 'reason') filter (where action = 'gate_closed') as gate,
            any_value(details) filter (where action = 'run_refused') as refused,
            any_value(entity_type) as entity_type,
            max(source_hash) as source_sha256,
            min(event_time) as start_time,
            min({PLACE}) as place
        from audit.fct_run_events
        where action in (
            'run_started', 'built', 'validated', 'gate_opened', 'gate_closed', 'posting_started', 'run_refused'
        )
        group by run_id
    ),

    finished as (
        select *, {PLACE} as place from audit.fct_runs
    )

    select
        run_id,
        coalesce(finished.mode, started ->> 'mode') as mode,
        coalesce(finished.entity_type, noted.entity_type) as entity_type,
        coalesce(finished.environment, started ->> 'environment') as environment,
        coalesce(finished.address, opened ->> 'address') as address,
        finished.run_id is not null or refused is not null as is_closed,
        opened is not null as has_posted,
        coalesce(finished.start_time, noted.start_time) as start_time,
        coalesce(finished.gate, noted.gate, 'open') as gate,
        finished.stopped_because,
        coalesce(finished.exit_code, (refused ->> 'exit_code')::bigint) as exit_code,
        refused ->> 'reason' as refused,
        coalesce(finished.source_file, opened ->> 'source_file', started ->> 'source') as source_file,
        coalesce(finished.source_sha256, noted.source_sha256) as source_sha256,
        coalesce(finished.invocation_id, opened ->> 'invocation_id', noted.invocation_id) as invocation_id,
        started ->> 'operator' as operator,
        started ->> 'ETL_DELIMITER' as delimiter,
        started ->> 'ETL_ENCODING' as encoding,
        started ->> 'ETL_SHEET' as sheet,
        started ->> 'ETL_SOURCE_PROFILE' as source_profile,
        started ->> 'ETL_DATE_ORDER' as date_order,
        started ->> 'ETL_ASSUME_ZONE' as assume_zone
    from finished full outer join noted using (run_id)
    order by noted.place nulls first, finished.place
"""  # noqa: S608 - our own names


@dataclass(frozen=True)
class KnownRun:
    """What the audit trail knows of a run, finished or not; without an id it is a dbt build that no run has read.

    `gate` is `open`, or what closed it. `refused` says why the run came to nothing. `process` is the one that carries
    the run out, None unless it is under way. The times are UTC.
    """

    run_id: str | None
    mode: str | None
    entity_type: str
    environment: str | None
    source_file: str | None
    source_sha256: str | None
    invocation_id: str | None
    address: str | None = None
    is_closed: bool = True
    has_posted: bool = False
    start_time: datetime | None = None
    gate: str = "open"
    stopped_because: str | None = None
    exit_code: int | None = None
    refused: str | None = None
    operator: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    source_profile: str | None = None
    date_order: str | None = None
    assume_zone: str | None = None
    process: int | None = None


def read_runs(connection: Any) -> dict[str, KnownRun]:
    """Return all runs by their id, in the order in which they were written."""
    return {run["run_id"]: KnownRun(**run) for run in fetch(connection, _RUNS)}


def known_run(warehouse: Warehouse, run_id: str) -> KnownRun:
    """Return what is known of one run that has written anything to `audit`."""
    with warehouse.connection(read_only=True) as connection:
        return read_runs(connection)[run_id]


def under_way(runs: dict[str, KnownRun], database: Path) -> tuple[int | None, KnownRun | None]:
    """Return the process that is at work on the database, and its run, None where that has not written anything yet.

    The run is the last one that began, and it began after its process took the lock: a dead one is older.
    """
    process, last = running_process(database), next(reversed(runs.values()), None)
    if not process or not last or last.is_closed or last.start_time is None:
        return process, None
    taken = datetime.fromtimestamp(lock_path(database).stat().st_mtime, UTC)
    return process, last if last.start_time >= taken.replace(tzinfo=None) else None
