"""`python -m loader status`: shows the last runs, what waits for somebody, and what to do next."""

import argparse
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from loader.audit.journal import now
from loader.audit.runs import KnownRun, read_runs, under_way
from loader.command import OneLineParser
from loader.config import load_settings
from loader.console import Console, Page, counted, shown
from loader.errors import OK, SOME_RECORDS
from loader.reports.advice import (
    NOTHING,
    FailedCheck,
    LastBuild,
    LastProbe,
    OpenProblem,
    ProblemRecord,
    Situation,
    Step,
    next_step,
    waiting,
)
from loader.run.gate import NodeResult
from loader.storage.warehouse import Row, Warehouse, fetch

LAST_RUNS = 5
_EXAMPLES = 3
_LEDGER = """
    select
        run_id, state, end_time, total_records, ready_records, parse_error_records + invalid_records as invalid_records,
        created_records, exists_records, failed_records, unknown_records, not_attempted_records, closes
    from audit.rpt_run_ledger order by start_time
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
            filter (where status not in ('success', 'pass', 'warn', 'passed_before', 'not_run')), []) as failures
    from audit.fct_dbt_invocations left join audit.fct_dbt_results using (invocation_id)
    group by invocation_id order by finished_at desc limit 1
"""
_KEPT = """
    select count(*) as runs, min(start_time) as oldest_run, count(*) filter (where start_time < ?) as older_runs
    from audit.fct_runs
"""


@dataclass(frozen=True)
class Facts(Situation):
    """What `status` tells; sizes are in bytes. `counts` has the row of `audit.rpt_run_ledger` of each run."""

    database: str
    bytes: int
    wal_bytes: int
    counts: dict[str, Row]
    rates: list[Row]
    retention: Row

    def document(self) -> Row:
        """Return the facts for `--json`."""
        told = asdict(self)
        counts = told.pop("counts")
        for runs in ("runs", "unfinished_runs"):
            told[runs] = [run | counts.get(run["run_id"], {}) for run in told[runs]]
        return told


def read_facts(connection: Any, database: Path, retention_days: int) -> Facts:
    """Return what the database holds now."""
    runs = read_runs(connection)
    process, run = under_way(runs, database)
    # What a run has under way is `unknown` until it is answered, and waits for nobody.
    running = run.run_id if run else None
    ledger = fetch(connection, _LEDGER)
    posted = [row["run_id"] for row in ledger if row["state"] == "unfinished" and row["run_id"] != running]
    (kept,) = fetch(connection, _KEPT, [now() - timedelta(days=retention_days)])
    wal = database.with_name(database.name + ".wal")
    return Facts(
        process=process,
        runs=tuple(runs.values())[-LAST_RUNS:],
        unfinished_runs=(*_interrupted(runs, running), *(runs[run_id] for run_id in posted)),
        unclosed_runs=tuple(row["run_id"] for row in ledger if row["closes"] is False and row["state"] != "unfinished"),
        open_problems=_problems(connection, runs, running),
        last_probe=next((LastProbe(**_with(FailedCheck, row)) for row in fetch(connection, _PROBE)), None),
        last_build=next((LastBuild(**_with(NodeResult, row)) for row in fetch(connection, _BUILD)), None),
        database=str(database),
        bytes=database.stat().st_size,
        wal_bytes=wal.stat().st_size if wal.exists() else 0,
        counts={row.pop("run_id"): row for row in ledger},
        rates=fetch(connection, _RATES),
        retention={"days": retention_days} | kept,
    )


def _with(kind: type[FailedCheck | NodeResult], row: Row) -> Row:
    return row | {"failures": tuple(kind(**failure) for failure in row["failures"])}


def _interrupted(runs: dict[str, KnownRun], running: str | None) -> list[KnownRun]:
    """Return the runs that ended before they posted and before anybody was told, until another one follows them.

    The next import accounts for a run that posted. These have nothing to account for, and any later run of the entity
    and environment is in their place.
    """
    last = {(run.entity_type, run.environment): run for run in runs.values()}
    return [run for run in last.values() if not run.is_closed and not run.has_posted and run.run_id != running]


def _problems(connection: Any, runs: dict[str, KnownRun], running: str | None) -> tuple[OpenProblem, ...]:
    """Return the kinds of open problems, each with the run and the rejected file of its first record."""
    query = "select path from audit.fct_output_files where run_id = ? and kind = 'rejected'"
    problems = []
    for row in fetch(connection, _PROBLEMS, {"examples": _EXAMPLES, "running": running}):
        examples = tuple(ProblemRecord(**record) for record in row.pop("examples"))
        run_id = examples[0].last_run_id
        paths = [file["path"] for file in fetch(connection, query, [run_id])]
        rejected = next((path for path in paths if Path(path).is_file()), None)
        problems.append(OpenProblem(**row, examples=examples, run=runs.get(run_id), rejected_file=rejected))
    return tuple(problems)


_COLUMNS = {
    "records": "total_records",
    "invalid": "invalid_records",
    "ready": "ready_records",
    "created": "created_records",
    "exists": "exists_records",
    "failed": "failed_records",
    "unknown": "unknown_records",
    "not sent": "not_attempted_records",
}


def print_status(console: Console, facts: Facts, waits: list[str], step: Step) -> None:
    """Write the facts, then what waits, then what to do."""
    kept = facts.retention
    size = f"{facts.bytes / 1e6:,.1f} MB and {facts.wal_bytes / 1e6:,.1f} MB of WAL"
    since = f" since {_moment(kept['oldest_run'])}" if kept["oldest_run"] else ""
    console.line(f"database {shown(facts.database)}: {size}, {counted(kept['runs'], 'run')}{since}")
    if kept["older_runs"]:
        console.line(f"{counted(kept['older_runs'], 'run')} older than {kept['days']} days: python -m loader prune")
    _print_project(console, facts)
    _print_runs(console, facts)
    _print_problems(console, facts)
    console.line()
    for reason in waits:
        console.line(f"waits: {reason}")
    if not waits and step != NOTHING:
        console.line(str(NOTHING))
    console.line(str(step))


def _print_project(console: Console, facts: Facts) -> None:
    if build := facts.last_build:
        failed = ", ".join(f"{node.name} ({node.status})" for node in build.failures)
        passed = f"passed, {counted(build.passed, 'node')} of payloads" if build.passed else "nothing of a payload"
        outcome = f"failed: {failed}" if failed else passed
        console.line(f"last dbt {build.command}, {_moment(build.finished_at)}: {outcome}")
    else:
        console.line("last dbt build: none")
    if probe := facts.last_probe:
        failed = "; ".join(f"{check.check_name}: {check.found}" for check in probe.failures)
        outcome = f"failed, {failed}" if failed else f"passed, {probe.checks} checks"
        where = f"{probe.environment} ({probe.address})"
        console.line(f"last probe of {where}, {_moment(probe.checked_at)}: {outcome}")
    else:
        console.line("last probe: none")
    for rate in facts.rates:
        console.line(
            f"rate limit of {rate['address']}{rate['endpoint']}: {rate['requests_per_window']} requests in "
            f"{rate['window_seconds']:g} s, learned {_moment(rate['learned_at'])}"
        )


def _print_runs(console: Console, facts: Facts) -> None:
    console.line()
    if not facts.runs:
        console.line("no run yet")
        return
    columns = "".join(f"{name:>9}" for name in _COLUMNS)
    console.line(f"{'run':<24}{'mode':<14}{'exit':>4}  {'closes':<7}{columns}  file")
    for run in facts.runs:
        code = "-" if run.exit_code is None else run.exit_code
        held = facts.counts.get(run.run_id or "", {})
        closes = {True: "yes", False: "NO", None: "-"}[held.get("closes") if run.is_closed else None]
        records = [held.get(name) for name in _COLUMNS.values()]
        counts = "".join(f"{'-':>9}" if number is None else f"{number:>9,}" for number in records)
        file = shown(run.source_file) if run.source_file else ""
        console.line(f"{run.run_id:<24}{run.mode:<14}{code:>4}  {closes:<7}{counts}  {file}")
        if reason := run.refused or run.stopped_because:
            console.line(f"  {reason}")


def _print_problems(console: Console, facts: Facts) -> None:
    if facts.open_problems:
        console.line()
    for problem in facts.open_problems:
        what = f"{counted(problem.records, 'record')} {problem.problem.replace('_', ' ')}"
        console.line(f"{problem.severity}: {what}, since {_moment(problem.since)}")
        for record in problem.examples:
            where, reason = f"{record.source_name}:{record.line_number}", record.reason or "no reason noted"
            name = record.reference_number or where
            console.line(f"  {name:<30} {where}, {counted(record.runs, 'run')}: {reason}")
        if more := problem.records - len(problem.examples):
            console.line(f"  and {more:,} more in audit.rpt_open_problems")
        console.paragraph(f"fix: {problem.what_to_do}", indent=2)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


# A scheduler asks again; a run holds the database for a moment at a time.
_WAIT_SECONDS = 5.0
_EPILOG = """\
examples:
  {prog}
  {prog} --json | jq -r '.waiting[]'
  {prog} > /dev/null || mail -s "the incident import waits for somebody" ...

What waits: runs that never finished, counts that do not close, open problems of severity error
(audit.rpt_open_problems), a failed last probe or dbt build.

exit codes:
  0  nothing waits    1  something does    2  refused: usage, no database    4  the database is held
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of the command."""
    what = "Show the last runs, what waits for somebody and what to do next."
    command = OneLineParser(prog, what, _EPILOG.format(prog=prog))
    command.add_argument("--json", action="store_true", help="print one object")
    return command


def carry_out(options: argparse.Namespace) -> int:
    """Carry out the command; return the exit code."""
    settings, console = load_settings(), Page(as_json=options.json)
    warehouse = Warehouse(settings.database, min(settings.warehouse.lock_wait_seconds, _WAIT_SECONDS), console.notice)
    with warehouse.connection(read_only=True) as connection:
        facts = read_facts(connection, settings.database, settings.retention.days)
    waits, step = waiting(facts), next_step(facts)
    print_status(console, facts, waits, step)
    console.summary(facts.document() | {"waiting": waits, "next": str(step)})
    return SOME_RECORDS if waits else OK
