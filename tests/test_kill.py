"""A kill at any instant: every record is accounted for, nothing is stored twice, and the same command goes on."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from loader.steps import Step
from sandbox.process import Sandbox
from tests.support import ROOT, Home

ALL = {f"EXT-2026-000{number}" for number in range(1, 6)}
POINTS = [f"{side}:{step.value}" for step in Step if step is not Step.BUILD for side in ("before", "after")]
LATER = [
    "before:send:3",
    "after:send:3",
    "before:commit_intents:2",
    "after:commit_outcomes:2",
    "before:commit_outcomes:3",
]


def accounted(home: Home) -> None:
    """Assert that every run that began to post has each ready record once, that its counts close, the file opens."""
    for run_id, ready, closes in home.query(
        "select run_id, ready_records, closes from audit.fct_runs where mode = 'import'"
    ):
        ((records, distinct),) = home.query(
            "select count(*), count(distinct record_number) from audit.fct_import_records where run_id = ?", run_id
        )
        assert (records, distinct, closes) == (ready, ready, True), run_id
    started = "select count(distinct run_id) from audit.fct_run_events where action = 'posting_started'"
    kept = "select count(distinct run_id) from audit.fct_runs where mode = 'import' and address is not null"
    assert home.query(started) == home.query(kept)


def stored_once(sandbox: Sandbox) -> None:
    """Ask the server's own log: every reference was created by exactly one request."""
    created = Counter(entry["reference_number"] for entry in sandbox.requests() if entry["status"] == 201)
    assert created == Counter(dict.fromkeys(ALL, 1))
    assert {record["reference_number"] for record in sandbox.records()} == ALL


def finished(home: Home) -> None:
    """Run the same command again, which ends the work: each record is created by one run alone."""
    done = home.loader("--import", "--batch-size", "2")
    assert done.returncode == 0, done.stderr
    created = home.query(
        "select reference_number, count(*) from audit.fct_import_records where result = 'created' group by 1"
    )
    assert {reference for reference, _ in created} == ALL
    assert {count for _, count in created} == {1}, "a record is reported as created twice"


@pytest.mark.parametrize("point", [*POINTS, *LATER])
def test_a_kill_before_or_after_any_step(home: Home, sandbox: Sandbox, point: str):
    killed = home.loader("--import", "--batch-size", "2", ETL_KILL_AT=point)
    assert killed.returncode == -signal.SIGKILL, f"the run never reached {point}: {killed.stderr}"
    finished(home)
    accounted(home)
    stored_once(sandbox)


def test_the_next_run_names_the_unfinished_one_and_sends_nothing_that_is_settled(home: Home, sandbox: Sandbox):
    home.loader("--import", "--batch-size", "2", ETL_KILL_AT="after:commit_intents:2")
    before = len([entry for entry in sandbox.requests() if entry["method"] == "POST"])
    done = home.loader("--import", "--batch-size", "2")
    assert "ended without finishing: 2 unknown, 1 not attempted" in done.stderr
    assert "2 records are settled by it" in done.stderr
    assert done.returncode == 0
    assert len([entry for entry in sandbox.requests() if entry["method"] == "POST"]) == before + 3
    results = (
        "select result, confirmed_by, attempts from audit.fct_import_records where run_id = ? order by record_number"
    )
    (dead, alive) = [run for (run,) in home.query("select run_id from audit.fct_runs order by start_time")]
    assert [result for result, *_ in home.query(results, dead)] == ["created"] * 2 + ["unknown"] * 2 + ["not_attempted"]
    assert home.query(results, alive) == [("exists", "earlier_run", 0)] * 2 + [("created", None, 1)] * 3
    accounted(home)


def test_a_record_stored_before_the_kill_is_ours(home: Home, sandbox: Sandbox):
    home.loader("--import", ETL_KILL_AT="before:commit_outcomes")
    assert {record["reference_number"] for record in sandbox.records()} == ALL
    finished(home)
    ours = "select result, confirmed_by, count(*) from audit.fct_import_records where result <> 'unknown' group by all"
    assert home.query(ours) == [("created", "conflict_after_unknown", 5)]
    accounted(home)
    stored_once(sandbox)


def test_a_record_that_was_there_before_is_not_ours_after_a_kill(home: Home, sandbox: Sandbox):
    finished(home)
    home.loader("--import", ETL_KILL_AT="before:commit_outcomes")
    done = home.loader("--import")
    assert done.returncode == 0
    last = (
        "select distinct result, confirmed_by from audit.fct_import_records "
        "where run_id = (select max_by(run_id, start_time) from audit.fct_runs)"
    )
    assert home.query(last) == [("exists", None)]
    stored_once(sandbox)


def test_random_kills(home: Home, sandbox: Sandbox):
    """Fifty kills at random moments, each with the same command again, until one gets through."""
    draw = random.Random(20_261_123)  # noqa: S311 - repeatable, not secret
    sandbox.fault("latency", count=0, value=0.05)
    for _ in range(50):
        process = subprocess.Popen(
            [sys.executable, "-m", "loader", "--import", "--environment", "staging", "--batch-size", "1"],
            cwd=ROOT,
            env=home.variables(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(draw.uniform(0.3, 1.8))
        process.kill()
        process.wait()
    sandbox.clear_faults()
    finished(home)
    accounted(home)
    stored_once(sandbox)
