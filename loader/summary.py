"""The summary of a run, for people and for machines."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loader.audit import DELIVERY_COUNTS, FILE_COUNTS
from loader.console import Console
from loader.errors import GateClosed
from loader.job import DRY_RUN, IMPORT, Run
from loader.report import stats_document
from loader.warehouse import Row

_EXAMPLES = 20


def summary_object(row: Row, files: Sequence[Path], exit_code: int) -> dict[str, Any]:
    """Return what `--json` prints: the counts of the stats file, the gate, the files and the exit code."""
    names = ("mode", "environment", "source_file", "output_hash", "warnings", "gate", "stopped_because")
    return (
        stats_document(row)
        | {name: row[name] for name in names}
        | {"files": [str(path) for path in files], "exit_code": exit_code}
    )


def print_summary(console: Console, run: Run, row: Row, files: Sequence[Path]) -> None:
    """Write the ledger, the problems, the files and the next command."""
    console.line(f"run {row['run_id']}: {row['mode']} of {_shown(row['source_file'])}")
    console.line(_ledger("records in the file", row["total_records"], row, FILE_COUNTS))
    if row["mode"] == IMPORT and not run.closed_by:
        console.line(_ledger("ready", row["ready_records"], row, DELIVERY_COUNTS))
    console.line("the counts close" if row["closes"] else "THE COUNTS DO NOT CLOSE: report this run")
    console.line(f"output_hash {row['output_hash']}")
    _print_issues(console, run)
    if row["mode"] == DRY_RUN:
        _print_changes(console, run)
    if row["mode"] == IMPORT:
        _print_refusals(console, run)
    for path in files:
        console.line(f"wrote {_shown(path)}")
    console.line(_next(run, row))


def _ledger(name: str, total: int, row: Row, counts: Sequence[str]) -> str:
    parts = [f"{count.removesuffix('_records').replace('_', ' ')} {row[count]:,}" for count in counts]
    return f"{name} {total:,} = {' + '.join(parts)}"


def _shown(path: str | Path) -> str:
    """Return the path as a person would type it here: relative when it is below the current folder."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _print_issues(console: Console, run: Run) -> None:
    issues = run.warehouse.rows(
        "select severity, code, line_number, reference_number, message, how_to_fix, count(*) over () as issues "
        "from audit.fct_issues where run_id = ? order by severity, record_number, code limit ?",
        [run.run_id, _EXAMPLES],
    )
    for issue in issues:
        where = f"line {issue['line_number']} ({issue['reference_number'] or 'no reference'})"
        console.line(f"{issue['severity']} {issue['code']}, {where}: {issue['message']}. Fix: {issue['how_to_fix']}")
    if issues and issues[0]["issues"] > _EXAMPLES:
        console.line(f"... and {issues[0]['issues'] - _EXAMPLES} more, all of them in the validation report")


def _print_changes(console: Console, run: Run) -> None:
    changes = run.warehouse.rows(
        "select field, rule, count(*) as cells from audit.fct_changes where run_id = ? "
        "group by field, rule order by field, rule",
        [run.run_id],
    )
    for change in changes:
        console.line(f"transformed {change['field']}: {change['cells']} {change['rule']}")


def _print_refusals(console: Console, run: Run) -> None:
    refused = run.warehouse.rows(
        "select result, line_number, reference_number, status_code, error_message from audit.fct_import_records "
        "where run_id = ? and result in ('failed', 'unknown') order by record_number limit ?",
        [run.run_id, _EXAMPLES],
    )
    for record in refused:
        where = f"line {record['line_number']} ({record['reference_number']})"
        console.line(f"{record['result']}, {where}: {record['status_code'] or 'no status'}, {record['error_message']}")


def _next(run: Run, row: Row) -> str:
    command = f"python scripts/etl/pipeline.py --environment {row['environment']}"
    source = f" --source {shlex.quote(_shown(row['source_file']))} --entity-type {row['entity_type']}"
    if isinstance(run.closed_by, GateClosed):
        return "next: dbt build"
    if run.closed_by:
        return f"next: correct the records, then {command} --validate-only{source}"
    if row["mode"] != IMPORT:
        return f"next: {command} {'--import' if row['mode'] == DRY_RUN else '--dry-run'}{source}"
    if row["stopped_because"]:
        return f"stopped early: {row['stopped_because']}; then run the same command again: nothing is created twice"
    if row["failed_records"] or row["unknown_records"] or row["not_attempted_records"]:
        return "next: correct what failed and run the same command again: nothing is created twice"
    return "done: every record is on the platform"
