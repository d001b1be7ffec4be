"""Writes the facts of `status` for people."""

from datetime import datetime

from loader.console import Console
from loader.trail.status_next import NOTHING, counted
from loader.typed import shown
from loader.warehouse import Row

_COUNTS = {
    "records": "total_records",
    "invalid": "invalid_records",
    "ready": "ready_records",
    "created": "created_records",
    "exists": "exists_records",
    "failed": "failed_records",
    "unknown": "unknown_records",
    "not sent": "not_attempted_records",
}
_MEGABYTE = 1_000_000
_NAME = 30


def print_status(console: Console, facts: Row, waits: list[str], step: str) -> None:
    """Write the facts, then what waits, then what to do."""
    kept = facts["retention"]
    console.line(
        f"database {shown(facts['database'])}: {facts['bytes'] / _MEGABYTE:,.1f} MB"
        f" and {facts['wal_bytes'] / _MEGABYTE:,.1f} MB of WAL, {counted(kept['runs'], 'run')}"
        + (f" since {_moment(kept['oldest_run'])}" if kept["oldest_run"] else "")
    )
    if kept["older_runs"]:
        console.line(f"{counted(kept['older_runs'], 'run')} older than {kept['days']} days: python -m loader prune")
    _print_project(console, facts)
    _print_runs(console, facts)
    _print_problems(console, facts)
    console.line()
    for reason in waits:
        console.line(f"waits: {reason}")
    if not waits and step != NOTHING:
        console.line(NOTHING)
    console.line(step)


def _print_project(console: Console, facts: Row) -> None:
    build, probe = facts["last_build"], facts["last_probe"]
    if build:
        failed = ", ".join(f"{node['name']} ({node['status']})" for node in build["failures"])
        passed = (
            f"passed, {counted(build['passed'], 'node')} of payloads" if build["passed"] else "nothing of a payload"
        )
        outcome = f"failed: {failed}" if failed else passed
        console.line(f"last dbt {build['command']}, {_moment(build['finished_at'])}: {outcome}")
    else:
        console.line("last dbt build: none")
    if probe:
        failed = "; ".join(f"{check['check_name']}: {check['found']}" for check in probe["failures"])
        outcome = f"failed, {failed}" if failed else f"passed, {probe['checks']} checks"
        where = f"{probe['environment']} ({probe['address']})"
        console.line(f"last probe of {where}, {_moment(probe['checked_at'])}: {outcome}")
    else:
        console.line("last probe: none")
    for rate in facts["rates"]:
        console.line(
            f"rate limit of {rate['address']}{rate['endpoint']}: {rate['requests_per_window']} requests in "
            f"{rate['window_seconds']:g} s, learned {_moment(rate['learned_at'])}"
        )


def _print_runs(console: Console, facts: Row) -> None:
    console.line()
    if not facts["runs"]:
        console.line("no run yet")
        return
    console.line(
        f"{'run':<24}{'mode':<14}{'exit':>4}  {'closes':<7}" + "".join(f"{name:>9}" for name in _COUNTS) + "  file"
    )
    for run in facts["runs"]:
        code = "-" if run["exit_code"] is None else run["exit_code"]
        closes = {True: "yes", False: "NO"}.get(run.get("closes"), "-")
        counts = "".join(
            f"{run[column]:>9,}" if run.get(column) is not None else f"{'-':>9}" for column in _COUNTS.values()
        )
        file = shown(run["source_file"]) if run["source_file"] else ""
        console.line(f"{run['run_id']:<24}{run['mode']:<14}{code:>4}  {closes:<7}{counts}  {file}")
        if reason := run["refused"] or run["stopped_because"]:
            console.line(f"  {reason}")


def _print_problems(console: Console, facts: Row) -> None:
    if facts["open_problems"]:
        console.line()
    for problem in facts["open_problems"]:
        kind = problem["problem"].replace("_", " ")
        of = counted(problem["records"], "record")
        console.line(f"{problem['severity']}: {of} {kind}, since {_moment(problem['since'])}")
        for record in problem["examples"]:
            where = f"{record['source_name']}:{record['line_number']}"
            name = record["reference_number"] or where
            console.line(
                f"  {name:<{_NAME}} {where}, {counted(record['runs'], 'run')}: {record['reason'] or 'no reason noted'}"
            )
        if more := problem["records"] - len(problem["examples"]):
            console.line(f"  and {more:,} more in audit.rpt_open_problems")
        console.paragraph(f"fix: {problem['what_to_do']}", indent=2)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
