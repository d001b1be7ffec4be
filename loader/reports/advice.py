"""The last line of a summary: what to do next, as a command to copy where there is one."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loader.errors import GateClosed
from loader.landing.dialect import Dialect
from loader.run.job import DRY_RUN, IMPORT, Run
from loader.storage.warehouse import Row


def command_line(row: Mapping[str, Any], mode: str, source: str | Path, flags: str = "") -> str:
    """Return the pipeline command for `source`; `row` has its `environment` and `entity_type`, as `fct_runs`."""
    given = f"--source {shlex.quote(shown(source))}{flags} --entity-type {row['entity_type']}"
    return f"python scripts/etl/pipeline.py --environment {row['environment']} {mode} {given}"


def dialect_flags(dialect: Dialect) -> str:
    """Return the flags that name a dialect; none for plain CSV in UTF-8."""
    if dialect == Dialect():
        return ""
    encoding = f" --encoding {dialect.encoding}" if dialect.encoding else ""
    return f" --delimiter {shlex.quote(dialect.delimiter)}{encoding}"


def rejected_flags(dialect: Dialect) -> str:
    """Return the flags for a file of rejected records of a source in this dialect.

    It is comma-separated UTF-8, whatever the source and the environment say.
    """
    return "" if dialect == Dialect() else dialect_flags(Dialect(encoding="utf-8"))


def again(run: Mapping[str, Any], mode: str, rejected: str | None = None) -> str:
    """Return the pipeline command for what a run has read, or for its file of rejected records.

    `run` is one of `read_runs`.
    """
    environment, file = run["environment"] or "staging", rejected or run["source_file"]
    if not file:
        return f"python -m loader --environment {environment} {mode}"
    dialect = Dialect(run.get("delimiter") or ",", run.get("encoding") or None)
    flags = rejected_flags(dialect) if rejected else dialect_flags(dialect)
    return command_line({**run, "environment": environment}, mode, file, flags)


def platform_team(reason: str | None) -> str | None:
    """Return why a run stopped, where nothing helps but to ask the platform team: their words come before any command.

    The same command stops again until they have done it.
    """
    return reason if reason and "ask the platform team" in reason else None


def shown(path: str | Path) -> str:
    """Return the path as a person would type it here: relative when it is below the current folder."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


_IMPORT_AGAIN = ("unknown", "not_attempted")
_URGENT = (*_IMPORT_AGAIN, "failed", "invalid", "differs", "not_visible")
_ONWARDS = {"validate-only": "--dry-run", "dry-run": "--import"}
NOTHING = "nothing waits"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as `1 record` and `2 records`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def waiting(facts: Row) -> list[str]:
    """Return what waits for somebody, most urgent first; a warning does not."""
    found = [f"run {run['run_id']} ended without finishing" for run in facts["unfinished_runs"]]
    found += [f"the counts of run {run_id} do not close" for run_id in facts["unclosed_runs"]]
    found += [
        f"{counted(problem['records'], 'record')} {problem['problem'].replace('_', ' ')}"
        for problem in facts["open_problems"]
        if problem["severity"] == "error"
    ]
    probe, build = facts["last_probe"], facts["last_build"]
    if probe and probe["failures"]:
        names = ", ".join(check["check_name"] for check in probe["failures"])
        found.append(f"the last probe of {probe['environment']} failed: {names}")
    if build and build["failures"]:
        names = ", ".join(node["name"] for node in build["failures"])
        found.append(f"the last dbt {build['command']} failed: {names}")
    return found


def next_command(facts: Row) -> str:
    """Return the line that says what to do: a command to copy, or why there is none."""
    if facts["process"]:
        return f"next: wait, process {facts['process']} is at work on this database"
    if facts["unfinished_runs"]:
        run = facts["unfinished_runs"][-1]
        return "next: " + again(run, f"--{run['mode'] or 'import'}")
    problems = {row["problem"]: row for row in facts["open_problems"] if row["severity"] == "error"}
    if "invalid" in problems and _is_kept_back(problems.get("not_attempted")):
        del problems["not_attempted"]
    if urgent := [problems[kind] for kind in _URGENT if kind in problems]:
        return _about(urgent[0])
    return _about_project(facts, facts["runs"][-1] if facts["runs"] else None)


def _about_project(facts: Row, last: Row | None) -> str:
    """Return what to do where no record waits: about the probe, the build, or to go on after the last run."""
    probe, build = facts["last_probe"], facts["last_build"]
    if facts["unclosed_runs"]:
        return "next: python -m loader audit-verify"
    if probe and probe["failures"]:
        return f"next: {probe['failures'][0]['how_to_fix']}; then: python -m probe {probe['environment']}"
    if not build or any(node["resource_type"] != "test" for node in build["failures"]):
        return "next: dbt build"
    if build["failures"] or not last:
        return f"next: python -m loader --environment {_environment(last)} --validate-only"
    if last["mode"] in _ONWARDS and last["exit_code"] == 0:
        return f"next: {again(last, _ONWARDS[last['mode']])}"
    return NOTHING


def _about(problem: Row) -> str:
    """Return what to do about one kind of open problem, by the first record that has it."""
    run, kind, rejected = problem["run"], problem["problem"], problem["rejected_file"]
    if not run or not run["source_file"]:
        return f"next: {problem['what_to_do']}"
    if kind in _IMPORT_AGAIN:
        asked = platform_team(run.get("stopped_because"))
        return f"next: {asked}; then:\n  {again(run, '--import')}" if asked else f"next: {again(run, '--import')}"
    if kind == "failed":
        return f"next: correct what failed and import it again: nothing is created twice:\n  {again(run, '--import')}"
    if kind == "invalid":
        command = again(run, "--validate-only", rejected)
        return f"next: correct {shown(rejected or run['source_file'])} and give it back:\n  {command}"
    return f"next: {problem['what_to_do']}: python -m loader explain {_name(problem['examples'][0])}"


def _is_kept_back(problem: Row | None) -> bool:
    """Tell whether a closed gate has kept the records back: what closed it is to be corrected first."""
    return bool(problem and problem["run"] and problem["run"]["gate"] != "open")


def _name(record: Row) -> str:
    """Return what `explain` takes for a record."""
    return shlex.quote(record["reference_number"] or f"{record['source_name']}:{record['line_number']}")


def _environment(run: Row | None) -> str:
    return str(run["environment"] if run and run["environment"] else "staging")


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
    return after_import(row, vars(run.readback) if run.readback else {})


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
