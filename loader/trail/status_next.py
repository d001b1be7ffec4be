"""What the facts of `status` come to: what waits for somebody, and the one command to go on with. Pure."""

import shlex

from loader.typed import again, platform_team, shown
from loader.warehouse import Row

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
