"""`status`, the pure part: what waits and what to do, from the facts alone."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from loader.audit.runs import KnownRun
from loader.reports.advice import (
    NOTHING,
    FailedCheck,
    LastBuild,
    LastProbe,
    OpenProblem,
    ProblemRecord,
    Situation,
    next_step,
    waiting,
)
from loader.run.gate import NodeResult

NOON = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - UTC without a zone, as the tables have it
RUN = KnownRun("r", "import", "incident", "staging", "/x/a.csv", None, None, exit_code=0)
CLEAN = Situation(
    process=None,
    runs=(RUN,),
    unfinished_runs=(),
    unclosed_runs=(),
    open_problems=(),
    last_probe=LastProbe("p", "staging", "http://x", NOON, 4, 4, ()),
    last_build=LastBuild("b", "build", NOON, 9, ()),
)


def problem(kind: str, *, severity: str = "error", **more: Any) -> OpenProblem:
    record = ProblemRecord("it's 1", "incident", "a.csv", 3, NOON, 1, "r", None, "ask")
    plain = OpenProblem(severity, kind, 1, NOON, 1, "staging", "ask", (record,), RUN, None)
    return replace(plain, **more)


def failed_build(name: str, kind: str) -> LastBuild:
    return LastBuild("b", "build", NOON, 9, (NodeResult(name, kind, "error"),))


PROBE = LastProbe("p", "staging", "http://x", NOON, 4, 3, (FailedCheck("health", "500", "check it"),))
REASON = "403, the token lacks the permission a:b: ask the platform team for it"
KEPT_BACK = problem("not_attempted", run=replace(RUN, gate="gate closed: it says why"))
INVALID = problem("invalid", rejected_file="/x/r.csv")
CASES: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "nothing": ({}, [], str(NOTHING)),
    "a validation went well": ({"runs": (replace(RUN, mode="validate-only"),)}, [], "--dry-run --source /x/a.csv"),
    "a dry-run went well": ({"runs": (replace(RUN, mode="dry-run"),)}, [], "--import --source /x/a.csv"),
    "nothing was built": ({"last_build": None, "runs": ()}, [], "next: dbt build"),
    "nothing was run": ({"runs": ()}, [], "--environment staging --validate-only"),
    "a run never ended": ({"unfinished_runs": (RUN,)}, ["run r ended without finishing"], "--import --source /x/a.csv"),
    "a validation never ended": (
        {"unfinished_runs": (replace(RUN, mode="validate-only"),)},
        ["run r ended without finishing"],
        "--validate-only --source /x/a.csv",
    ),
    "counts do not close": ({"unclosed_runs": ("r",)}, ["the counts of run r do not close"], "loader audit-verify"),
    "unknown": ({"open_problems": (problem("unknown"),)}, ["1 record unknown"], "--import --source /x/a.csv"),
    "stopped for a permission": (
        {"open_problems": (problem("not_attempted", run=replace(RUN, stopped_because=REASON)),)},
        ["1 record not attempted"],
        f"next: {REASON}; then run the same command again: nothing is created twice:\n  python",
    ),
    "kept back by the gate alone": (
        {"open_problems": (KEPT_BACK,)},
        ["1 record not attempted"],
        "next: gate closed: it says why; then:\n  python scripts/etl/pipeline.py --environment staging --import",
    ),
    "the unknown first": (
        {
            "open_problems": (
                INVALID,
                problem("unknown"),
            )
        },
        ["1 record invalid", "1 record unknown"],
        "--import --source /x/a.csv",
    ),
    "failed": ({"open_problems": (problem("failed", records=2),)}, ["2 records failed"], "nothing is created twice"),
    "invalid": ({"open_problems": (INVALID,)}, ["1 record invalid"], "--validate-only --source /x/r.csv"),
    "kept back": (
        {
            "open_problems": (
                KEPT_BACK,
                INVALID,
            )
        },
        ["1 record not attempted", "1 record invalid"],
        "--validate-only --source /x/r.csv",
    ),
    "differs": ({"open_problems": (problem("differs"),)}, ["1 record differs"], """explain 'it'"'"'s 1'"""),
    "a warning waits for nobody": ({"open_problems": (problem("differs", severity="warning"),)}, [], str(NOTHING)),
    "a probe failed": (
        {"last_probe": PROBE},
        ["the last probe of staging failed: health"],
        "check it; then: python -m probe",
    ),
    "a model failed": (
        {"last_build": failed_build("m", "model")},
        ["the last dbt build failed: m"],
        "next: dbt build",
    ),
    "a test failed": (
        {"last_build": failed_build("t", "test")},
        ["the last dbt build failed: t"],
        "--validate-only",
    ),
    "a run is under way": ({"process": 42}, [], "wait, process 42 is at work"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_waits_and_what_to_do(case: str):
    changed, waits, says = CASES[case]
    facts = replace(CLEAN, **changed)
    assert waiting(facts) == waits
    assert says in str(next_step(facts))
