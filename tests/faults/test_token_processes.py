"""The token and the processes of a run: in no list of processes, not with dbt, not in what a kill leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.canary import new_canary
from tests.hostile import LIST, Asked, Reply, hostile_server, only
from tests.inside import aim
from tests.support import GOLDEN, ROOT, Home

pytestmark = pytest.mark.dbt

CANARY = new_canary()
MARK = "ECHOED"
# The pipeline command, killed between the commit of what the server said and the closing of the database.
KILLED = f"""
import linecache, os, pathlib, runpy, signal, sys
wal = pathlib.Path(os.environ["ETL_DATABASE"] + ".wal")
def in_connection(frame, event, argument):
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    if event == "line" and line == "connection.close()" and wal.exists() and b"{MARK}" in wal.read_bytes():
        os.kill(os.getpid(), signal.SIGKILL)
    return in_connection
def anywhere(frame, event, argument):
    return in_connection if frame.f_code.co_filename.endswith("loader/storage/warehouse.py") else None
sys.settrace(anywhere)
runpy.run_module("loader", run_name="__main__", alter_sys=True)
"""


def echo(asked: Asked) -> Reply:
    message = f"{MARK} {asked.token} and {CANARY.text()}"
    return Reply(422, json.dumps({"error": {"code": "VALIDATION_ERROR", "message": message}}).encode())


def watched(process: subprocess.Popen[str]) -> dict[str, list[bytes]]:
    """Return what each process of the group showed while it ran: its command line and, of a child, its variables.

    A child that has not yet become its own program still shows what it was forked from, which is the first process.
    """
    shown: dict[str, list[bytes]] = {}
    first = Path(f"/proc/{process.pid}/cmdline")
    while process.poll() is None:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.getpgid(int(entry.name)) != process.pid:
                    continue
                command = (entry / "cmdline").read_bytes()
                variables = b"" if command == first.read_bytes() else (entry / "environ").read_bytes()
                shown[f"{entry.name} {command[:60]!r}"] = [command, variables]
            except (ProcessLookupError, FileNotFoundError):
                continue
        time.sleep(0.05)
    return shown


def test_a_killed_run_with_its_dbt_leaves_it_nowhere(empty_home: Home):
    home = empty_home
    debug = {"DBT_LOG_LEVEL": "debug", "DBT_LOG_LEVEL_FILE": "debug", "QGP_API_TOKEN_COMMAND": "echo none"}
    with hostile_server(only(LIST, echo, "POST")) as server:
        aim(home, f"http://127.0.0.1:{server.port}").environment |= {"QGP_API_TOKEN": CANARY.token, **debug}
        command = [sys.executable, "-c", KILLED, "--environment", "staging", "--import", "--source", str(GOLDEN)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        with subprocess.Popen(command, cwd=ROOT, env=home.variables(), **options) as process:
            shown = watched(process)
            out, err = process.communicate()
        assert process.returncode == -signal.SIGKILL, err
        wal = home.database.with_suffix(".duckdb.wal").read_bytes()
        assert MARK.encode() in wal
        assert {asked.token for asked in server.asked} == {"", CANARY.token}
    assert any(b"loader.run.start_dbt" in command for command, _ in shown.values())
    assert "[debug]" in (home.folder / "logs" / "dbt.log").read_text(encoding="utf-8")
    assert [name for name, texts in shown.items() if any(map(CANARY.found_in, texts))] == []
    assert [CANARY.found_in(text) for text in (out, err, wal)] == [set()] * 3
    assert CANARY.found_below(home.folder) == {}
    assert CANARY.found_below(home.target) == {}
