"""`status`: what waits for somebody, and one exit code for a scheduler."""

import json
import subprocess

import duckdb

from loader.reports.advice import NOTHING
from loader.storage.lock import run_lock
from sandbox.process import Sandbox
from tests.audit.explaining import asked
from tests.forked import killed
from tests.support import Home


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
    assert steps[3] == str(NOTHING)
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
    (row,) = [line.split() for line in done.stdout.splitlines() if " import " in line and ".csv" in line[80:]]
    assert row[2:6] == ["-", "-", "5", "0"], "exit, closes, records, invalid"
    (dead,) = json.loads(status(home, "--json").stdout)["unfinished_runs"]
    assert (dead["state"], dead["total_records"], dead["ready_records"]) == ("unfinished", 5, 5)
    with run_lock(home.database, 1, print):
        done = status(home)
        assert done.returncode == 1, "the run under way has not written anything yet, and this is not it"
        assert "is at work on this database" in done.stdout.splitlines()[-1]
        assert "its run is under way" not in asked(home, "EXT-2026-0005").stdout
        home.query("update audit.fct_run_events set event_time = now() at time zone 'UTC'")
        done = status(home)
        assert "its run is under way" in asked(home, "EXT-2026-0005").stdout
    assert "ended without finishing" not in done.stdout
    assert "is at work on this database" in done.stdout.splitlines()[-1]
    assert done.returncode == 0, "what a run has under way waits for nobody"
    assert home.loader("--import").returncode == 0
    assert status(home).returncode == 0


def test_a_run_that_was_killed_before_it_posted_waits_until_another_one_follows(home: Home):
    killed(home, "before:carry_over", "--environment", "staging")
    ((dead,),) = home.query("select run_id from audit.rpt_run_ledger where state = 'interrupted'")
    done = status(home)
    assert (done.returncode, f"waits: run {dead} ended without finishing" in done.stdout) == (1, True)
    assert "--import" in done.stdout.splitlines()[-1]
    told = home.run(["python", "-m", "loader", "report", dead, "--html"]).stderr
    assert told.endswith("it is under way, or was killed; then run the same command again\n")
    assert home.loader("--validate-only").returncode == 0
    assert status(home).returncode == 0


def test_a_refused_record_waits_for_somebody(home: Home, sandbox: Sandbox):
    text = '{"error": {"code": "VALIDATION_ERROR", "message": "no"}}'
    sandbox.fault("body", status=422, text=text, reference="EXT-2026-0003")
    imported = home.loader("--import")
    assert imported.returncode == 1
    done = status(home)
    assert done.returncode == 1
    assert "error: 1 record failed, since " in done.stdout
    assert "EXT-2026-0003" in done.stdout
    assert "VALIDATION_ERROR: no" in done.stdout
    assert "waits: 1 record failed" in done.stdout
    words = "correct what failed, then run the same command again: nothing is created twice"
    (step,) = {"".join(text.splitlines(keepends=True)[-2:]) for text in (imported.stdout, done.stdout)}
    assert step.startswith(f"next: {words}:\n  python scripts/etl/pipeline.py --environment staging --import --source ")
    assert asked(home, "EXT-2026-0003").stdout.endswith(f"\n{step}")
    page = home.run(["python", "-m", "loader", "report", "last", "--html", "--output", "-"]).stdout
    assert f"{words}: <code>python scripts/etl/pipeline.py --environment staging --import --source " in page


def test_runs_older_than_the_retention_are_counted(home: Home):
    assert home.loader("--validate-only").returncode == 0
    home.query("update audit.fct_runs set start_time = now()::timestamp - interval 89 days")
    assert "older than" not in status(home).stdout
    home.query("update audit.fct_runs set start_time = now()::timestamp - interval 91 days")
    assert "1 run older than 90 days: python -m loader prune" in status(home).stdout


def test_counts_that_do_not_close_are_found_in_any_run(home: Home):
    assert home.loader("--validate-only").returncode == 0
    home.query(
        "insert into audit.fct_runs by name select run.* replace ('2027-' || n as run_id) "
        "from audit.fct_runs as run, range(6) as numbers(n)"
    )
    assert status(home).returncode == 0
    home.query("update audit.fct_runs set invalid_records = 1 where run_id not like '2027-%'")
    done = status(home)
    assert (done.returncode, done.stdout.count("do not close")) == (1, 1)


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
    home.query("alter table audit.fct_pacing drop column endpoint")
    done = status(home)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {home.database}: the tables are of another version; run: dbt build\n",
    )
    home.query("drop view audit.rpt_open_problems")
    assert (status(home).returncode, status(home).stderr.count("a table is missing; run: dbt build")) == (2, 1)
    home.database.unlink()
    done = status(home)
    assert (done.returncode, "there is no database yet; run: dbt build" in done.stderr) == (2, True)
    assert status(home, "--nonsense").returncode == 2
