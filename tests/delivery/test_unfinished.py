"""A run that never ended: the next one names it, accounts for it, and goes on with it."""

import os
import signal
import sqlite3
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from sandbox.process import Sandbox
from tests.forked import accounted, finished, killed, started, wait_for_a_post
from tests.support import Home


@pytest.mark.parametrize("point", ["after:send:2", "before:commit_outcomes:2", "after:commit_intents:3"])
def test_a_kill_in_a_later_batch(home: Home, sandbox: Sandbox, point: str):
    killed(home, point, "--environment", "staging", "--batch-size", "2")
    finished(home, sandbox)


def test_the_next_run_names_the_unfinished_one_and_sends_nothing_that_is_settled(home: Home, sandbox: Sandbox):
    killed(home, "after:commit_intents:2", "--environment", "staging", "--batch-size", "2")
    before = len([entry for entry in sandbox.requests() if entry["method"] == "POST"])
    done = home.loader("--import", "--batch-size", "2")
    assert "ended without finishing: 0 unknown, 3 not attempted" in done.stderr, "no request of them had begun"
    assert "2 records are settled by it" in done.stderr
    assert done.returncode == 0
    assert len([entry for entry in sandbox.requests() if entry["method"] == "POST"]) == before + 3
    results = (
        "select result, confirmed_by, attempts from audit.fct_import_records where run_id = ? order by record_number"
    )
    (dead, alive) = [run for (run,) in home.query("select run_id from audit.fct_runs order by start_time")]
    assert [result for result, *_ in home.query(results, dead)] == ["created"] * 2 + ["not_attempted"] * 3
    assert home.query(results, alive) == [("exists", "earlier_run", 0)] * 2 + [("created", None, 1)] * 3
    accounted(home)


def dead_run(home: Home) -> dict[str, int]:
    """Return the results that the next run has written of the dead one."""
    query = (
        "select result, count(*) from audit.fct_import_records "
        "where run_id = (select min_by(run_id, start_time) from audit.fct_runs) group by result"
    )
    return dict(home.query(query))


def test_only_records_whose_request_had_begun_are_in_doubt(home: Home):
    """One worker is killed at its second request: three records of the batch were never sent."""
    home.settings(max_concurrency="1")
    killed(home, "after:send:2", "--environment", "staging")
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    assert "ended without finishing: 2 unknown, 3 not attempted; what is unknown is settled first" in done.stderr
    assert dead_run(home) == {"unknown": 2, "not_attempted": 3}
    assert "created 5 (2 of them confirmed after a lost answer)" in done.stdout
    accounted(home)
    assert [path.name for path in home.folder.glob("*.begun")] == []


@pytest.mark.parametrize("spoiled", ["gone", "of another boot", "of another run"])
def test_all_that_had_an_intent_are_in_doubt_where_nobody_knows(home: Home, spoiled: str):
    home.settings(max_concurrency="1")
    killed(home, "after:send:2", "--environment", "staging")
    notes = home.folder / "etl.duckdb.begun"
    run_id, boot, *_ = notes.read_bytes().split()
    if spoiled == "gone":
        notes.unlink()
    else:
        foreign = boot if spoiled == "of another boot" else run_id
        notes.write_bytes(notes.read_bytes().replace(foreign, b"x" * len(foreign)))
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    assert dead_run(home) == {"unknown": 5}
    assert "created 5 (2 of them confirmed after a lost answer)" in done.stdout
    accounted(home)


def test_what_others_had_stored_long_before_a_kill_is_not_ours(home: Home, tmp_path: Path):
    """All references were there for 20 minutes, unknown to this database: no kill makes them ours."""
    assert home.loader("--import").returncode == 0
    with sqlite3.connect(tmp_path / "sandbox.sqlite") as connection:
        created = (datetime.now(UTC) - timedelta(minutes=20)).isoformat()
        connection.execute("update incidents set created_at = ?", [created])
    for table in ("fct_runs", "fct_import_records", "fct_intents", "fct_attempts", "fct_run_events"):
        home.query(f"delete from audit.{table}")  # noqa: S608 - as a database that has never seen them
    killed(home, "before:commit_outcomes", "--environment", "staging")
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    last = "select created_records, exists_records from audit.fct_runs order by start_time desc limit 1"
    assert home.query(last) == [(0, 5)]


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


def test_a_second_signal_stops_at_once_and_the_next_run_accounts_for_it(home: Home, sandbox: Sandbox):
    home.settings(read_timeout_seconds="60")
    sandbox.fault("hang_after_commit", count=0, value=60)
    process = started(home.variables() | {"ETL_ENVIRONMENT": "staging"}, home.folder / "log", "--import")
    wait_for_a_post(sandbox)
    # The first one lets it end in order, which would last the 60 s of the request under way.
    deadline = time.monotonic() + 30
    while process.is_alive() and time.monotonic() < deadline:
        os.kill(process.pid or 0, signal.SIGINT)
        process.join(0.5)
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
        process.join(120)
    log = (home.folder / "log").read_text()
    assert process.exitcode == 4, log
    assert "run the same command again" in log.splitlines()[-1]
    sandbox.clear_faults()
    finished(home, sandbox)


def test_a_clock_that_was_set_back_does_not_change_which_run_is_the_last(home: Home, sandbox: Sandbox):
    killed(home, "before:commit_intents:2", "--environment", "staging", "--batch-size", "2")
    finished(home, sandbox)
    home.query("update audit.fct_runs set start_time = start_time + interval 1 day where exit_code is null")
    before = len(sandbox.requests())
    assert home.loader("--import").returncode == 0
    posted = [entry for entry in sandbox.requests()[before:] if entry["method"] == "POST"]
    assert len(posted) == 5, "the last run left nothing open, so everything is asked about again"


def test_a_signal_while_posting_ends_the_run_and_reads_nothing_back(home: Home, sandbox: Sandbox):
    sandbox.fault("latency", count=0, value=0.5)
    process = started(home.variables() | {"ETL_ENVIRONMENT": "staging"}, home.folder / "log", "--import", "--verify")
    wait_for_a_post(sandbox)
    os.kill(process.pid or 0, signal.SIGTERM)
    process.join(120)
    assert process.exitcode == 143, (home.folder / "log").read_text()
    assert home.query("select count(*) from audit.fct_run_events where action = 'read_back'") == [(0,)]
    accounted(home)
