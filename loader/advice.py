"""The last line of a summary: what to do next, as a command to copy where there is one."""

from pathlib import Path

from loader.errors import GateClosed
from loader.job import DRY_RUN, IMPORT, Run
from loader.typed import command_line, dialect_flags, rejected_flags, shown
from loader.warehouse import Row


def next_step(run: Run, row: Row, rejected: Path) -> str:
    """Return what to do after a run; `row` is its row of `fct_runs`, `rejected` its file of rejected records."""
    if isinstance(run.closed_by, GateClosed) and run.job.source:
        return "next: dbt build"
    if isinstance(run.closed_by, GateClosed):
        # `dbt build` alone would land what ETL_SOURCE names, which can be another file.
        again = command_line(row, f"--{row['mode']}", row["source_file"], dialect_flags(run.job.dialect))
        return f"next: {again}"
    if run.closed_by:
        again = command_line(row, "--validate-only", rejected, rejected_flags(run.job.dialect))
        return f"next: correct {shown(rejected)} and give it back:\n  {again}"
    if row["mode"] != IMPORT:
        mode = "--import" if row["mode"] == DRY_RUN else "--dry-run"
        return f"next: {command_line(row, mode, row['source_file'], dialect_flags(run.job.dialect))}"
    return after_import(row, run.readback)


def after_import(row: Row, readback: Row) -> str:
    """Return what to do after an import that posted; `readback` has the counts of `--verify`."""
    if row["stopped_because"]:
        return f"stopped early: {row['stopped_because']}; then run the same command again: nothing is created twice"
    if row["failed_records"] or row["unknown_records"] or row["not_attempted_records"]:
        return "next: correct what failed and run the same command again: nothing is created twice"
    if readback.get("unproven"):
        return "next: ask the platform team about the records that are not proven; audit.fct_readback has them all"
    if row["exists_records"] and readback:
        return f"done: {row['exists_records']:,} of the references were there before; those records were not updated"
    if row["exists_records"]:
        return (
            f"done: {row['exists_records']:,} of the references were there before; those records were neither compared "
            "nor updated"
        )
    return "done: every record that is ready is on the platform"
