"""`status`: what waits for somebody, and one exit code for a scheduler."""

import json
import subprocess
from typing import Any

import duckdb
import pytest

from loader.lock import run_lock
from loader.trail.status_next import NOTHING, next_command, waiting
from sandbox.process import Sandbox
from tests.forked import killed
from tests.support import Home

RUN = {"run_id": "r", "mode": "import", "environment": "staging", "entity_type": "incident", "source_file": "/x/a.csv"}
RUN |= {"gate": "open", "exit_code": 0, "closes": True}
CLEAN: dict[str, Any] = {
    "process": None,
    "runs": [RUN],
    "unfinished_runs": [],
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
    "counts do not close": ({"runs": [RUN | {"closes": False}]}, ["the counts of run r do not close"], NOTHING),
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


def status(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return home.run(["python", "-m", "loader", "status", *arguments])


def test_from_the_first_build_to_the_import(home: Home):
    steps = []
    for mode in (None, "--validate-only", "--dry-run", "--import"):
        assert mode is None or home.loader(mode).returncode == 0
        done = status(home)
        assert done.returncode == 0, done.stdout
        steps.append(done.stdout.splitlines()[-1])
    assert ["--validate-only" in steps[0], "--dry-run" in steps[1], "--import" in steps[2]] == [True] * 3
    assert steps[3] == NOTHING
    for limit in (60, 120):
        home.query(
            "insert into audit.fct_pacing by name select ? as requests_per_window, 60 as window_seconds, "
            "'http://x' as address, '/y/' as endpoint, now()::timestamp as learned_at",
            limit,
        )
    told = json.loads(status(home, "--json").stdout)
    assert [(run["mode"], run["exit_code"], run["closes"]) for run in told["runs"]] == [
        ("validate-only", 0, True),
        ("dry-run", 0, True),
        ("import", 0, True),
    ]
    assert (told["runs"][-1]["created_records"], told["waiting"]) == (5, [])
    assert told["last_probe"]["passed"] == told["last_probe"]["checks"] == 4
    assert told["last_build"]["failures"] == []
    assert told["bytes"] == home.database.stat().st_size
    assert [rate["requests_per_window"] for rate in told["rates"]] == [120]


def test_a_killed_run_waits_until_the_next_one_has_settled_it(home: Home):
    killed(home, "after:commit_intents:2", "--environment", "staging", "--batch-size", "2")
    done = status(home)
    assert done.returncode == 1
    assert "ended without finishing" in done.stdout
    assert "--import --source" in done.stdout.splitlines()[-1]
    with run_lock(home.database, 1, print):
        done = status(home)
    assert "ended without finishing" not in done.stdout
    assert "is at work on this database" in done.stdout.splitlines()[-1]
    assert done.returncode == 0, "what a run has under way waits for nobody"
    assert home.loader("--import").returncode == 0
    assert status(home).returncode == 0


def test_a_refused_record_waits_for_somebody(home: Home, sandbox: Sandbox):
    text = '{"error": {"code": "VALIDATION_ERROR", "message": "no"}}'
    sandbox.fault("body", status=422, text=text, reference="EXT-2026-0003")
    assert home.loader("--import").returncode == 1
    done = status(home)
    assert done.returncode == 1
    assert "error: 1 record failed, since " in done.stdout
    assert "EXT-2026-0003" in done.stdout
    assert "VALIDATION_ERROR: no" in done.stdout
    assert "waits: 1 record failed" in done.stdout


def test_runs_older_than_the_retention_are_counted(home: Home):
    assert home.loader("--validate-only").returncode == 0
    home.query("update audit.fct_runs set start_time = now()::timestamp - interval 89 days")
    assert "older than" not in status(home).stdout
    home.query("update audit.fct_runs set start_time = now()::timestamp - interval 91 days")
    assert "1 run older than 90 days: python -m loader prune" in status(home).stdout


def test_a_run_that_was_refused_is_shown(home: Home):
    assert home.loader("--import", QGP_API_TOKEN="nonsense").returncode == 3  # noqa: S106
    done = status(home)
    (line,) = [line for line in done.stdout.splitlines() if " import " in line]
    assert line.split()[2:4] == ["3", "-"]
    assert done.returncode == 1
    assert "waits: the last probe of staging failed: authentication" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("python -m probe staging")


def test_what_cannot_be_read_is_one_line(home: Home):
    with duckdb.connect(str(home.database)):
        done = status(home)
    assert (done.returncode, "held by process" in done.stderr) == (4, True)
    home.query("drop view audit.rpt_open_problems")
    assert (status(home).returncode, status(home).stderr.count("a table is missing; run: dbt build")) == (2, 1)
    home.database.unlink()
    done = status(home)
    assert (done.returncode, "there is no database yet; run: dbt build" in done.stderr) == (2, True)
    assert status(home, "--nonsense").returncode == 2
