"""A kill at any instant: every record is accounted for, nothing is stored twice, and the same command goes on."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from loader.steps import Step
from sandbox.process import Sandbox
from tests.forked import started
from tests.support import HEADER, Home, new_home

# Every label of the loader itself; dbt's build is a process of its own, and what it leaves is the gate's matter.
POINTS = [f"{side}:{step.value}" for step in Step if step is not Step.BUILD for side in ("before", "after")]
MANY = 500


@pytest.fixture(scope="module")
def many(workplace: Path) -> Path:
    """Return a database in which more records stand than a run can post before it is killed."""
    home = new_home(workplace / "many")
    records = [f"K-{number:04},Loose rail,Seen at gate 4,near_miss,low,open,2026-01-15," for number in range(MANY)]
    source = home.folder / "many.csv"
    source.write_text("\n".join([HEADER, *records]) + "\n", encoding="utf-8")
    done = home.dbt("build", ETL_SOURCE=str(source))
    assert done.returncode == 0, done.stdout
    return home.database


@pytest.fixture
def crowd(workplace: Path, many: Path, sandbox: Sandbox, request: pytest.FixtureRequest) -> Home:
    """Return a home with those records, whose staging environment is the sandbox."""
    variables = {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token(), "ETL_ENVIRONMENT": "staging"}
    return new_home(workplace / f"crowd_{request.node.name[:60].replace(':', '_')}", many, **variables)


def killed(home: Home, point: str, *arguments: str) -> None:
    process = started(home.variables() | {"ETL_KILL_AT": point}, home.folder / "log", "--import", *arguments)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"the run never reached {point}: {(home.folder / 'log').read_text()}"


def finished(home: Home, sandbox: Sandbox) -> None:
    """Run the same command again; assert that every record is accounted for and created once, by one run alone."""
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    accounted(home)
    created = home.query(
        "select reference_number, count(*) from audit.fct_import_records where result = 'created' group by 1"
    )
    by_server = Counter(entry["reference_number"] for entry in sandbox.requests() if entry["status"] == 201)
    assert set(by_server.values()) == {1}
    assert dict(created) == by_server
    ready = home.query("select count(*) from payload.fct_incident_payload")
    assert [(len(sandbox.records()),)] == ready == [(len(created),)]


def accounted(home: Home) -> None:
    """Assert that every run that began to post has each ready record once, and that its counts close."""
    runs = home.query("select run_id, ready_records, closes from audit.fct_runs where mode = 'import'")
    for run_id, ready, closes in runs:
        ((records, distinct),) = home.query(
            "select count(*), count(distinct record_number) from audit.fct_import_records where run_id = ?", run_id
        )
        assert (records, distinct, closes) == (ready, ready, True), run_id
    started_runs = "select distinct run_id from audit.fct_run_events where action = 'posting_started' order by all"
    assert home.query(started_runs) == [(run_id,) for run_id, *_ in sorted(runs)]


def wait_for_a_post(sandbox: Sandbox) -> None:
    deadline = time.monotonic() + 30
    while not any(entry["method"] == "POST" for entry in sandbox.requests()):
        assert time.monotonic() < deadline, "nothing was posted"
        time.sleep(0.02)


def test_a_kill_at_every_label_one_after_the_other(crowd: Home, sandbox: Sandbox):
    for point in POINTS:
        killed(crowd, point, "--batch-size", "40", "--verify")
        crowd.query("select count(*) from audit.fct_runs")
    finished(crowd, sandbox)


@pytest.mark.parametrize("point", ["after:send:2", "before:commit_outcomes:2", "after:commit_intents:3"])
def test_a_kill_in_a_later_batch(home: Home, sandbox: Sandbox, point: str):
    killed(home, point, "--environment", "staging", "--batch-size", "2")
    finished(home, sandbox)


def test_fifty_kills_at_random_moments(crowd: Home, sandbox: Sandbox):
    """Each is the same command again; the server is slow, so that none of them gets through."""
    draw = random.Random(20_261_123)  # noqa: S311 - repeatable, not secret
    sandbox.fault("latency", count=0, value=0.15)
    until_first_post = 0.0
    for _ in range(50):
        begun = time.monotonic()
        process = started(crowd.variables(), crowd.folder / "log", "--import", "--batch-size", "4")
        if until_first_post:
            time.sleep(draw.uniform(0.1, 1.6) * until_first_post)
        else:
            wait_for_a_post(sandbox)
            until_first_post = time.monotonic() - begun
        process.kill()
        process.join(10)
    assert "Traceback" not in (crowd.folder / "log").read_text()
    sandbox.clear_faults()
    assert MANY > len(sandbox.records()) > 0
    finished(crowd, sandbox)


def test_the_next_run_names_the_unfinished_one_and_sends_nothing_that_is_settled(home: Home, sandbox: Sandbox):
    killed(home, "after:commit_intents:2", "--environment", "staging", "--batch-size", "2")
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


@pytest.mark.parametrize("point", ["before:carry_over", "after:carry_over", "after:close_unfinished"])
def test_a_kill_of_the_run_that_goes_on_sends_nothing_again(home: Home, sandbox: Sandbox, point: str):
    killed(home, "before:commit_intents:2", "--environment", "staging", "--batch-size", "2")
    killed(home, point, "--environment", "staging")
    finished(home, sandbox)
    posted = Counter(entry["reference_number"] for entry in sandbox.requests() if entry["method"] == "POST")
    assert set(posted.values()) == {1}


def test_a_record_stored_before_the_kill_is_ours(home: Home, sandbox: Sandbox):
    killed(home, "before:commit_outcomes", "--environment", "staging")
    stored = len(sandbox.records())
    assert stored >= 1
    finished(home, sandbox)
    ours = "select confirmed_by, count(*) from audit.fct_import_records where result = 'created' group by 1"
    confirmed = dict(home.query(ours))
    assert sum(confirmed.values()) == 5
    # The last one may have been under way when the loader was killed.
    assert confirmed["conflict_after_unknown"] >= stored


def test_a_record_that_was_there_before_is_not_ours_after_a_kill(home: Home, sandbox: Sandbox):
    finished(home, sandbox)
    killed(home, "before:commit_outcomes", "--environment", "staging")
    done = home.loader("--import")
    assert done.returncode == 0
    last = (
        "select distinct result, confirmed_by from audit.fct_import_records "
        "where run_id = (select max_by(run_id, start_time) from audit.fct_runs)"
    )
    assert home.query(last) == [("exists", None)]
    accounted(home)


def test_every_answer_lost_after_the_commit_ends_as_ours(crowd: Home, sandbox: Sandbox):
    for number in range(MANY):
        sandbox.fault("drop_after_commit", reference=f"K-{number:04}")
    done = crowd.loader("--import", "--batch-size", "200")
    assert done.returncode == 0, done.stdout
    ours = "select result, confirmed_by, attempts, count(*) from audit.fct_import_records group by all"
    assert crowd.query(ours) == [("created", "conflict_after_unknown", 2, MANY)]
    assert len(sandbox.records()) == MANY
    accounted(crowd)


def test_a_shell_queries_while_records_are_posted(crowd: Home, sandbox: Sandbox):
    sandbox.fault("latency", count=0, value=0.03)
    process = started(crowd.variables(), crowd.folder / "log", "--import", "--batch-size", "50")
    answers: list[int] = []
    while process.is_alive():
        try:
            with duckdb.connect(str(crowd.database), read_only=True) as connection:
                found = connection.execute("select count(*) from audit.fct_import_records").fetchone()
        except duckdb.IOException:
            found = None
        if found and 0 < found[0] < MANY:
            answers.append(found[0])
        time.sleep(0.05)
    assert process.exitcode == 0, (crowd.folder / "log").read_text()
    assert len(answers) >= 10
    assert answers == sorted(answers)
    assert crowd.query("select created_records, closes from audit.fct_runs") == [(MANY, True)]


def test_a_second_signal_stops_at_once_and_the_next_run_accounts_for_it(home: Home, sandbox: Sandbox):
    home.settings(read_timeout_seconds="60")
    sandbox.fault("hang_after_commit", count=0, value=60)
    process = started(home.variables() | {"ETL_ENVIRONMENT": "staging"}, home.folder / "log", "--import")
    wait_for_a_post(sandbox)
    for number in (signal.SIGINT, signal.SIGINT):
        time.sleep(0.5)
        os.kill(process.pid or 0, number)
    process.join(5)
    log = (home.folder / "log").read_text()
    assert process.exitcode == 130, log
    assert "Traceback" not in log
    sandbox.clear_faults()
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    assert "ended without finishing" in done.stderr
    accounted(home)
    assert len(sandbox.records()) == 5


def test_a_database_taken_for_good_stops_the_run_and_the_next_one_goes_on(home: Home, sandbox: Sandbox):
    sandbox.fault("latency", count=0, value=1.0)
    process = started(home.variables() | {"ETL_ENVIRONMENT": "staging"}, home.folder / "log", "--import")
    wait_for_a_post(sandbox)
    with duckdb.connect(str(home.database)):
        process.join(30)
    log = (home.folder / "log").read_text()
    assert process.exitcode == 4, log
    assert "run the same command again" in log.splitlines()[-1]
    sandbox.clear_faults()
    finished(home, sandbox)
