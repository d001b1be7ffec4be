"""What to do next, decided here alone: the summary, `status`, `explain` and the page of a run get the same words."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from loader.audit.runs import KnownRun
from loader.console import counted
from loader.errors import SOME_RECORDS
from loader.landing.dialect import Dialect
from loader.run.gate import NodeResult

AGAIN = "run the same command again: nothing is created twice"
_ONWARDS = {"validate-only": "--dry-run", "dry-run": "--import"}


def with_short_paths(text: str) -> str:
    """Return a text in which the paths below the current folder are relative to it."""
    return text.replace(f"{Path.cwd()}{os.sep}", "")


@dataclass(frozen=True)
class Step:
    """What to do next, in words, with the command to copy where there is one; `is_open`: there is something to do."""

    words: str
    command: str = ""
    is_open: bool = True

    def __str__(self) -> str:
        """Return it for a person at a terminal."""
        parts = ":\n  ".join(part for part in (self.words, self.command) if part)
        return ("next: " if self.is_open else "") + with_short_paths(parts)


NOTHING = Step("nothing waits", is_open=False)


def pipeline_command(run: KnownRun, mode: str, rejected: str | None = None) -> str:
    """Return the command for the file that a run has read, or for its file of rejected records.

    That one is comma-separated UTF-8, whatever the source and the environment say.
    """
    environment, file = run.environment or "staging", rejected or run.source_file
    if not file:
        return f"python -m loader --environment {environment} {mode}"
    dialect, flags = Dialect(run.delimiter or ",", run.encoding or None), ""
    if dialect != Dialect():
        told = Dialect(encoding="utf-8") if rejected else dialect
        encoding = f" --encoding {told.encoding}" if told.encoding else ""
        flags = f" --delimiter {shlex.quote(told.delimiter)}{encoding}"
    if run.sheet and not rejected:
        flags += f" --sheet {shlex.quote(run.sheet)}"
    if run.source_profile:
        flags += f" --source-profile {shlex.quote(run.source_profile)}"
    flags += f" --date-order {run.date_order}" if run.date_order else ""
    flags += f" --assume-zone {run.assume_zone}" if run.assume_zone else ""
    given = f"--source {shlex.quote(file)}{flags} --entity-type {run.entity_type}"
    return f"python scripts/etl/pipeline.py --environment {environment} {mode} {given}"


# About records. `audit.rpt_open_problems` says the same in `what_to_do`; a test compares the two.


def needs_platform_team(reason: str | None) -> bool:
    """Tell whether a run has stopped for what the platform team alone can change: until then it stops again."""
    return bool(reason and "ask the platform team" in reason)


def about_result(result: str, stopped_because: str | None) -> str:
    """Return what to do about records that an import left `failed`, `unknown` or `not_attempted`."""
    if result == "failed":
        return f"correct what failed, then {AGAIN}"
    return f"{stopped_because}; then {AGAIN}" if needs_platform_team(stopped_because) else AGAIN


def about_readback(verdict: str, fields: str | None, *, is_ours: bool) -> str:
    """Return what to do about a record whose reading back says that it `differs`, in these fields, or `not_visible`."""
    if is_ours:
        return "ask the platform team about it: it was created, and reading it back does not prove it"
    if verdict == "differs":
        return f"correct {fields} on the platform, or in the file: an import does not update what is there"
    return "ask the platform team: the reference is taken by a record that is deleted, or another tenant's"


def import_again(run: KnownRun, result: str, stopped_because: str | None) -> Step:
    """Return what to do about records with such a result, with the command that imports the file of `run` again."""
    return Step(about_result(result, stopped_because), pipeline_command(run, "--import"))


def correct(run: KnownRun, rejected: str | None, line: int | None = None) -> Step:
    """Return what to do about invalid records, or about the one on a line of the source.

    `rejected` is the run's file of rejected records, where it is still there.
    """
    command, source = pipeline_command(run, "--validate-only", rejected), run.source_file or "the source"
    if not rejected:
        return Step(f"correct {source if line is None else f'line {line} of {source}'}, then", command)
    where = rejected if line is None else f"it in {rejected} (line {line} of {source})"
    return Step(f"correct {where} and give it back", command)


def open_gate(run: KnownRun, rejected: str | None) -> Step:
    """Return what to do about a closed gate; `rejected` as `correct` has it."""
    if run.exit_code == SOME_RECORDS:
        return correct(run, rejected)
    return Step(f"{run.gate}; then", pipeline_command(run, f"--{run.mode}"))


def onwards(run: KnownRun) -> Step:
    """Return the command that follows a validation or a dry-run that went well."""
    return Step("", pipeline_command(run, _ONWARDS.get(run.mode or "", "--import")))


# After a run.


def after_run(run: KnownRun, counts: Mapping[str, Any], readback: Mapping[str, Any], rejected: str | None) -> Step:
    """Return what to do after a run that has ended; `rejected` is the path of its file of rejected records.

    `counts` are the records by what became of them, as `audit.fct_runs` names them, and `readback` those of `--verify`,
    empty where nothing was read back.
    """
    if run.gate != "open":
        return open_gate(run, rejected)
    if run.mode in _ONWARDS:
        return onwards(run)
    is_unsettled = run.stopped_because or counts["unknown_records"] or counts["not_attempted_records"]
    if is_unsettled or counts["failed_records"]:
        return import_again(run, "unknown" if is_unsettled else "failed", run.stopped_because)
    if readback.get("unproven"):
        return Step("ask the platform team about the records that are not proven; audit.fct_readback has them all")
    if not (existing := counts["exists_records"]):
        return Step("done: every record that is ready is on the platform", is_open=False)
    how = "not updated" if readback else "neither compared nor updated"
    return Step(f"done: {existing:,} of the references were there before; those records were {how}", is_open=False)


# For all that a database holds.


@dataclass(frozen=True)
class ProblemRecord:
    """One record of an open problem, as `audit.rpt_open_problems` has it."""

    reference_number: str | None
    entity_type: str
    source_name: str
    line_number: int
    since: datetime
    runs: int
    last_run_id: str
    reason: str | None
    what_to_do: str


@dataclass(frozen=True)
class OpenProblem:
    """All records with one kind of open problem; the first few are its examples.

    `run` is the last one that saw the first of them. `rejected_file` is that run's, where it is still there.
    """

    severity: str
    problem: str
    records: int
    since: datetime
    runs: int
    environment: str | None
    what_to_do: str
    examples: tuple[ProblemRecord, ...]
    run: KnownRun | None
    rejected_file: str | None


@dataclass(frozen=True)
class FailedCheck:
    """A check of a probe that has failed."""

    check_name: str
    found: str
    how_to_fix: str


@dataclass(frozen=True)
class LastProbe:
    """The last contract probe."""

    run_id: str
    environment: str
    address: str
    checked_at: datetime
    checks: int
    passed: int
    failures: tuple[FailedCheck, ...]


@dataclass(frozen=True)
class LastBuild:
    """The last dbt command; `passed` is the number of its nodes that have succeeded."""

    invocation_id: str
    command: str
    finished_at: datetime
    passed: int
    failures: tuple[NodeResult, ...]


@dataclass(frozen=True)
class Situation:
    """What a database holds that may wait for somebody; `process` is the one that is at work on it.

    `runs` are the last ones, oldest first. `unclosed_runs` are the ids of those whose counts do not close.
    """

    process: int | None
    runs: tuple[KnownRun, ...]
    unfinished_runs: tuple[KnownRun, ...]
    unclosed_runs: tuple[str, ...]
    open_problems: tuple[OpenProblem, ...]
    last_probe: LastProbe | None
    last_build: LastBuild | None

    @property
    def errors(self) -> list[OpenProblem]:
        """Return the open problems that wait for somebody; a warning does not."""
        return [problem for problem in self.open_problems if problem.severity == "error"]


_URGENT = ("unknown", "not_attempted", "failed", "invalid", "differs", "not_visible")


def waiting(facts: Situation) -> list[str]:
    """Return what waits for somebody, most urgent first."""
    found = [f"run {run.run_id} ended without finishing" for run in facts.unfinished_runs]
    found += [f"the counts of run {run_id} do not close" for run_id in facts.unclosed_runs]
    found += [f"{counted(error.records, 'record')} {error.problem.replace('_', ' ')}" for error in facts.errors]
    probe, build = facts.last_probe, facts.last_build
    if probe and probe.failures:
        names = ", ".join(check.check_name for check in probe.failures)
        found.append(f"the last probe of {probe.environment} failed: {names}")
    if build and build.failures:
        names = ", ".join(node.name for node in build.failures)
        found.append(f"the last dbt {build.command} failed: {names}")
    return found


def next_step(facts: Situation) -> Step:
    """Return what to do first."""
    if facts.process:
        return Step(f"wait, process {facts.process} is at work on this database")
    if facts.unfinished_runs:
        run = facts.unfinished_runs[-1]
        return Step(AGAIN, pipeline_command(run, f"--{run.mode or 'import'}"))
    errors = {error.problem: error for error in facts.errors}
    if "invalid" in errors and _is_kept_back(errors.get("not_attempted")):
        del errors["not_attempted"]
    if urgent := [errors[problem] for problem in _URGENT if problem in errors]:
        return _about_problem(urgent[0])
    return _about_project(facts, facts.runs[-1] if facts.runs else None)


def _is_kept_back(error: OpenProblem | None) -> bool:
    """Tell whether a closed gate has kept the records back: what closed it is to be corrected first."""
    return bool(error and error.run and error.run.gate != "open")


def _about_problem(error: OpenProblem) -> Step:
    """Return what to do about one kind of open problem, by the first record that has it."""
    run, first = error.run, error.examples[0]
    if not run or not run.source_file:
        return Step(error.what_to_do)
    if error.problem == "invalid":
        return correct(run, error.rejected_file)
    if _is_kept_back(error):
        return open_gate(run, error.rejected_file)
    if error.problem in ("unknown", "not_attempted", "failed"):
        return import_again(run, error.problem, run.stopped_because)
    record = shlex.quote(first.reference_number or f"{first.source_name}:{first.line_number}")
    return Step(error.what_to_do, f"python -m loader explain {record}")


def _about_project(facts: Situation, last: KnownRun | None) -> Step:
    """Return what to do where no record waits: about counts, probe or build, or after the last run."""
    probe, build = facts.last_probe, facts.last_build
    if facts.unclosed_runs:
        return Step("", "python -m loader audit-verify")
    if probe and probe.failures:
        return Step(f"{probe.failures[0].how_to_fix}; then: python -m probe {probe.environment}")
    if not build or any(node.resource_type != "test" for node in build.failures):
        return Step("", "dbt build")
    if build.failures or not last:
        environment = last.environment if last and last.environment else "staging"
        return Step("", f"python -m loader --environment {environment} --validate-only")
    return onwards(last) if last.mode in _ONWARDS and last.exit_code == 0 else NOTHING
