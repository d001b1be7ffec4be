"""Another process holds the database or a run is under way: it is named, waited for, and nothing breaks."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox.process import Sandbox
from tests.support import ROOT, Home

HOLDERS = {
    "database": """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
""",
    "run lock": """
import sys, time
from pathlib import Path
from loader.lock import run_lock
with run_lock(Path(sys.argv[1]), 0, print):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
""",
}


@contextmanager
def holding(kind: str, home: Home, seconds: float) -> Iterator[int]:
    """Hold the database or the run lock of a home in another process; yield its id once it is held."""
    command = [sys.executable, "-c", HOLDERS[kind], str(home.database), str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("mode", ["--import", "--validate-only"])
@pytest.mark.parametrize("kind", HOLDERS)
def test_what_is_held_too_long_is_one_line_with_the_process(home: Home, sandbox: Sandbox, kind: str, mode: str):
    with holding(kind, home, 60) as pid:
        done = home.loader(mode)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    *notices, error = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert f"process {pid}" in error
    assert str(home.database) in error
    assert "run the same command again" in error
    assert len(notices) == 1
    assert f"process {pid}" in notices[0]
    assert sandbox.requests() == []
    assert home.query("select count(*) from audit.fct_runs") == [(0,)]


@pytest.mark.parametrize("kind", HOLDERS)
def test_what_is_held_for_a_moment_is_waited_for(home: Home, sandbox: Sandbox, kind: str):
    home.settings(lock_wait_seconds="20")
    # The holder's time begins before the loader has started, which takes up to a second or two on a busy machine.
    with holding(kind, home, 3) as pid:
        done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert f"process {pid}" in done.stderr
    assert "waiting up to 20 s" in done.stderr
    assert len(sandbox.records()) == 5


def test_a_lock_file_left_behind_does_not_hold(home: Home, sandbox: Sandbox):
    with holding("run lock", home, 60):
        pass
    assert home.database.with_name(home.database.name + ".lock").exists()
    done = home.loader("--import")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(sandbox.records()) == 5


def test_a_database_taken_while_records_are_posted_is_waited_for(home: Home, sandbox: Sandbox):
    home.settings(lock_wait_seconds="20")
    sandbox.fault("latency", count=0, value=1.0)
    command = [sys.executable, "-m", "loader", "--environment", "staging", "--import"]
    with subprocess.Popen(command, cwd=ROOT, env=home.variables(), stdout=-1, stderr=-1, text=True) as run:
        deadline = time.monotonic() + 20
        while not sandbox.records() and not _posting(sandbox) and time.monotonic() < deadline:
            time.sleep(0.02)
        with holding("database", home, 3) as pid:
            _, err = run.communicate(timeout=30)
    assert run.returncode == 0, err
    assert f"process {pid}" in err
    assert home.query("select created_records, closes from audit.fct_runs") == [(5, True)]


def _posting(sandbox: Sandbox) -> bool:
    return any(request["method"] == "POST" for request in sandbox.requests())
