"""The runs that the audit trail knows, finished or not, and the last dbt build, which no run may have seen yet."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loader.lock import lock_path, running_process
from loader.warehouse import Row, fetch

# In the order in which they began to write, which a clock that is set back does not change.
_RUNS = """
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
            min(rowid) as place
        from audit.fct_run_events
        where action in (
            'run_started', 'built', 'validated', 'gate_opened', 'gate_closed', 'posting_started', 'run_refused'
        )
        group by run_id
    ),

    finished as (
        select *, rowid as place from audit.fct_runs
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
        started ->> 'ETL_ENCODING' as encoding
    from finished full outer join noted using (run_id)
    order by noted.place nulls first, finished.place
"""
_TABLES = """
    select schema_name || '.' || table_name as relation from duckdb_tables()
    union all
    select schema_name || '.' || view_name from duckdb_views() where not internal
"""
LAST_BUILD = "the last dbt build"


def read_runs(connection: Any) -> dict[str, Row]:
    """Return all runs by their id, in the order in which they were written."""
    return {run["run_id"]: run for run in fetch(connection, _RUNS)}


def under_way(runs: dict[str, Row], database: Path) -> tuple[int | None, Row | None]:
    """Return the process that is at work on the database, and its run, None where that has not written anything yet.

    The run is the last one that began, and it began after its process took the lock: a dead one is older.
    """
    process, last = running_process(database), next(reversed(runs.values()), None)
    if not process or not last or last["is_closed"] or last["start_time"] is None:
        return process, None
    taken = datetime.fromtimestamp(lock_path(database).stat().st_mtime, UTC)
    return process, last if last["start_time"] >= taken.replace(tzinfo=None) else None


def relations(connection: Any) -> set[str]:
    """Return the tables and views of the database, each as `schema.name`."""
    return {row["relation"] for row in fetch(connection, _TABLES)}


def last_builds(connection: Any, there: set[str]) -> dict[str, Row]:
    """Return by entity what the last dbt build was made of: invocation, file, SHA-256, number of records."""
    prefix, suffix = "validation.int_", "_totals"
    entities = [name[len(prefix) : -len(suffix)] for name in there if name.startswith(prefix) and name.endswith(suffix)]
    builds = {}
    for entity in sorted(entities):
        query = f"select invocation_id, source_file, source_sha256, source_records from {prefix}{entity}{suffix}"  # noqa: S608
        for row in fetch(connection, query):
            builds[entity] = row
    return builds


def as_run(entity: str, build: Row) -> Row:
    """Return a build that no run has seen as if it were one, without an id."""
    return {
        "run_id": None,
        "mode": LAST_BUILD,
        "environment": None,
        "address": None,
        "is_closed": True,
        "has_posted": False,
        "start_time": None,
        "gate": "open",
        "stopped_because": None,
        "exit_code": None,
        "refused": None,
        "operator": None,
        "delimiter": None,
        "encoding": None,
        "entity_type": entity,
        **{name: build[name] for name in ("source_file", "source_sha256", "invocation_id")},
    }


def of_file(runs: dict[str, Row], given: str) -> list[str]:
    """Return the files that `given` can mean: that path, or else those of its name where it names no folder."""
    known = [run["source_file"] for run in runs.values() if run["source_file"]]
    # Path.resolve raises for a link that leads to itself.
    same = {given, str(Path(given).absolute()), os.path.realpath(given)}
    if exact := sorted({path for path in known if path in same}):
        return exact
    return sorted({path for path in known if Path(path).name == given})
