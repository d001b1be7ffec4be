"""Another process holds the database or a run is under way: it is named, waited for, and nothing breaks."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from sandbox.process import Sandbox
from tests import warm
from tests.forked import wait_for_a_post
from tests.support import COMMAND_SECONDS, ROOT, Home, wait_for

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
from loader.storage.lock import run_lock
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


def importing(home: Home) -> tuple[ForkServerProcess, Path]:
    """Start an import; return its process, and the file of what it prints as errors and notices."""
    out, err = home.folder / "out", home.folder / "err"
    return warm.start("loader", ["--environment", "staging", "--import"], home.variables(), out, err), err


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
    home.settings(lock_wait_seconds="120")
    with holding(kind, home, COMMAND_SECONDS) as pid:
        run, err = importing(home)
        wait_for(lambda: err.exists() and err.read_text())
    run.join(COMMAND_SECONDS)
    assert run.exitcode == 0, err.read_text()
    (notice,) = err.read_text().splitlines()
    assert f"process {pid}" in notice
    assert "waiting up to 120 s" in notice
    assert len(sandbox.records()) == 5


def test_a_lock_file_left_behind_does_not_hold(home: Home, sandbox: Sandbox):
    with holding("run lock", home, 60):
        pass
    assert home.database.with_name(home.database.name + ".lock").exists()
    done = home.loader("--import")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(sandbox.records()) == 5


def test_a_database_taken_while_records_are_posted_is_waited_for(home: Home, sandbox: Sandbox):
    home.settings(lock_wait_seconds="120", read_timeout_seconds="60")
    # Long enough for the holder to start on a busy machine.
    sandbox.fault("latency", count=0, value=4)
    run, err = importing(home)
    wait_for_a_post(sandbox)
    with holding("database", home, COMMAND_SECONDS) as pid:
        wait_for(lambda: f"process {pid}" in err.read_text())
    run.join(COMMAND_SECONDS)
    assert run.exitcode == 0, err.read_text()
    assert home.query("select created_records, closes from audit.fct_runs") == [(5, True)]
