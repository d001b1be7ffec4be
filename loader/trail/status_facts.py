"""Reads what `status` tells: the state of the database, its runs and what waits in it."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from loader.audit import now
from loader.card import entities
from loader.history import opened_runs
from loader.trail.known_runs import read_runs, under_way
from loader.warehouse import Row, fetch, in_bulk

LAST_RUNS = 5
_EXAMPLES = 3
_COUNTS = """
    select
        run_id, end_time, total_records, ready_records, parse_error_records + invalid_records as invalid_records,
        created_records, exists_records, failed_records, unknown_records, not_attempted_records, closes
    from audit.fct_runs where list_contains(from_json(?, '["varchar"]'), run_id)
"""
# A run that is unfinished waits in any case.
_UNCLOSED = """
    select run_id from audit.rpt_run_ledger where not closes and state <> 'unfinished' order by start_time
"""
# One row per kind of problem and severity, with a few of its records.
_PROBLEMS = """
    with numbered as (
        select *, row_number() over (partition by severity, problem order by since, source_name, line_number) as place
        from audit.rpt_open_problems where last_run_id is distinct from $running
    )

    select
        severity, problem, count(*) as records, min(since) as since, max(runs) as runs,
        arg_min(environment, place) as environment, arg_min(what_to_do, place) as what_to_do,
        list({
            'reference_number': reference_number, 'entity_type': entity_type, 'source_name': source_name,
            'line_number': line_number, 'since': since, 'runs': runs, 'last_run_id': last_run_id, 'reason': reason,
            'what_to_do': what_to_do
        } order by place) filter (where place <= $examples) as examples
    from numbered group by severity, problem order by severity, records desc, problem
"""
_RATES = """
    select environment, address, endpoint, requests_per_window, window_seconds, learned_at from audit.fct_pacing
    qualify row_number() over (partition by address, endpoint order by learned_at desc) = 1 order by learned_at desc
"""
_PROBE = """
    select
        run_id, any_value(environment) as environment, any_value(address) as address, max(checked_at) as checked_at,
        count(*) as checks, count(*) filter (where passed) as passed,
        coalesce(list({'check_name': check_name, 'found': found, 'how_to_fix': how_to_fix})
            filter (where not passed), []) as failures
    from audit.fct_probe_checks group by run_id order by checked_at desc limit 1
"""
_BUILD = """
    select
        invocation_id, any_value(command) as command, any_value(finished_at) as finished_at,
        count(*) filter (where status in ('success', 'pass', 'warn')) as passed,
        coalesce(list({'name': name, 'resource_type': resource_type, 'status': status} order by name)
            filter (where status not in ('success', 'pass', 'warn', 'not_run')), []) as failures
    from audit.fct_dbt_invocations left join audit.fct_dbt_results using (invocation_id)
    group by invocation_id order by finished_at desc limit 1
"""
_KEPT = """
    select count(*) as runs, min(start_time) as oldest, count(*) filter (where start_time < ?) as older
    from audit.fct_runs
"""


def read_facts(connection: Any, database: Path, retention_days: int) -> Row:
    """Return the facts, as `status --json` prints them but for what they come to."""
    runs = read_runs(connection)
    last = list(runs.values())[-LAST_RUNS:]
    counts = {row["run_id"]: row for row in fetch(connection, _COUNTS, [in_bulk([row["run_id"] for row in last])])}
    process, run = under_way(runs, database)
    # What a run has under way is `unknown` until it is answered, and waits for nobody.
    running = run["run_id"] if run else None
    return {
        "database": str(database),
        "bytes": _size(database),
        "wal_bytes": _size(database.with_name(database.name + ".wal")),
        "runs": [row | counts.get(row["run_id"], {}) for row in last],
        "process": process,
        "unfinished_runs": _interrupted(runs, running) + _unfinished(connection, runs, running),
        "unclosed_runs": [row["run_id"] for row in fetch(connection, _UNCLOSED)],
        "open_problems": _problems(connection, runs, running),
        "rates": fetch(connection, _RATES),
        "last_probe": next(iter(fetch(connection, _PROBE)), None),
        "last_build": next(iter(fetch(connection, _BUILD)), None),
        "retention": _retention(connection, retention_days, now()),
    }


def _interrupted(runs: dict[str, Row], running: str | None) -> list[Row]:
    """Return the runs that ended before they posted and before anybody was told, until another one follows them.

    The next import accounts for a run that posted. These have nothing to account for, and any later run of the entity
    and environment is in their place.
    """
    last = {(run["entity_type"], run["environment"]): run for run in runs.values()}
    return [run for run in last.values() if not run["is_closed"] and not run["has_posted"] and run["run_id"] != running]


def _unfinished(connection: Any, runs: dict[str, Row], running: str | None) -> list[Row]:
    """Return the runs that began to post and never ended, without the one that is under way."""
    opened = [run for entity in entities() for run in opened_runs(connection, entity) if run["run_id"] != running]
    return [runs[run["run_id"]] | json.loads(run["details"]) | {"end_time": run["end_time"]} for run in opened]


def _problems(connection: Any, runs: dict[str, Row], running: str | None) -> list[Row]:
    """Return the kinds of open problems, each with the run and the rejected file of its first record."""
    problems = fetch(connection, _PROBLEMS, {"examples": _EXAMPLES, "running": running})
    query = "select path from audit.fct_output_files where run_id = ? and kind = 'rejected'"
    for problem in problems:
        first = problem["examples"][0]
        run, files = runs.get(first["last_run_id"]), fetch(connection, query, [first["last_run_id"]])
        problem["run"] = run
        problem["rejected_file"] = next((row["path"] for row in files if Path(row["path"]).is_file()), None)
    return problems


def _retention(connection: Any, days: int, moment: datetime) -> Row:
    (kept,) = fetch(connection, _KEPT, [moment - timedelta(days=days)])
    return {"days": days, "runs": kept["runs"], "oldest_run": kept["oldest"], "older_runs": kept["older"]}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
