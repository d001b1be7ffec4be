"""`status`, the pure part: what waits and what to do, from the facts alone."""

from typing import Any

import pytest

from loader.reports.advice import NOTHING, next_command, waiting

RUN = {"run_id": "r", "mode": "import", "environment": "staging", "entity_type": "incident", "source_file": "/x/a.csv"}
RUN |= {"gate": "open", "exit_code": 0, "closes": True}
CLEAN: dict[str, Any] = {
    "process": None,
    "runs": [RUN],
    "unfinished_runs": [],
    "unclosed_runs": [],
    "open_problems": [],
    "last_probe": {"environment": "staging", "failures": []},
    "last_build": {"command": "build", "failures": []},
}


def problem(kind: str, *, severity: str = "error", **more: Any) -> dict[str, Any]:
    record = {"reference_number": "it's 1", "source_name": "a.csv", "line_number": 3}
    plain = {
        "problem": kind,
        "severity": severity,
        "records": 1,
        "run": RUN,
        "rejected_file": None,
        "what_to_do": "ask",
    }
    return plain | {"examples": [record]} | more


PROBE = {"environment": "staging", "failures": [{"check_name": "health", "how_to_fix": "check it"}]}
KEPT_BACK = problem("not_attempted", run=RUN | {"gate": "closed"})
INVALID = problem("invalid", rejected_file="/x/r.csv")
CASES: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "nothing": ({}, [], NOTHING),
    "a validation went well": ({"runs": [RUN | {"mode": "validate-only"}]}, [], "--dry-run --source /x/a.csv"),
    "a dry-run went well": ({"runs": [RUN | {"mode": "dry-run"}]}, [], "--import --source /x/a.csv"),
    "nothing was built": ({"last_build": None, "runs": []}, [], "next: dbt build"),
    "nothing was run": ({"runs": []}, [], "--environment staging --validate-only"),
    "a run never ended": ({"unfinished_runs": [RUN]}, ["run r ended without finishing"], "--import --source /x/a.csv"),
    "a validation never ended": (
        {"unfinished_runs": [RUN | {"mode": "validate-only"}]},
        ["run r ended without finishing"],
        "--validate-only --source /x/a.csv",
    ),
    "counts do not close": ({"unclosed_runs": ["r"]}, ["the counts of run r do not close"], "loader audit-verify"),
    "unknown": ({"open_problems": [problem("unknown")]}, ["1 record unknown"], "--import --source /x/a.csv"),
    "the unknown first": (
        {"open_problems": [INVALID, problem("unknown")]},
        ["1 record invalid", "1 record unknown"],
        "--import --source /x/a.csv",
    ),
    "failed": ({"open_problems": [problem("failed", records=2)]}, ["2 records failed"], "nothing is created twice"),
    "invalid": ({"open_problems": [INVALID]}, ["1 record invalid"], "--validate-only --source /x/r.csv"),
    "kept back": (
        {"open_problems": [KEPT_BACK, INVALID]},
        ["1 record not attempted", "1 record invalid"],
        "--validate-only --source /x/r.csv",
    ),
    "differs": ({"open_problems": [problem("differs")]}, ["1 record differs"], """explain 'it'"'"'s 1'"""),
    "a warning waits for nobody": ({"open_problems": [problem("differs", severity="warning")]}, [], NOTHING),
    "a probe failed": (
        {"last_probe": PROBE},
        ["the last probe of staging failed: health"],
        "check it; then: python -m probe",
    ),
    "a model failed": (
        {"last_build": {"command": "build", "failures": [{"name": "m", "resource_type": "model"}]}},
        ["the last dbt build failed: m"],
        "next: dbt build",
    ),
    "a test failed": (
        {"last_build": {"command": "build", "failures": [{"name": "t", "resource_type": "test"}]}},
        ["the last dbt build failed: t"],
        "--validate-only",
    ),
    "a run is under way": ({"process": 42}, [], "wait, process 42 is at work"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_waits_and_what_to_do(case: str):
    changed, waits, says = CASES[case]
    assert waiting(CLEAN | changed) == waits
    assert says in next_command(CLEAN | changed)
