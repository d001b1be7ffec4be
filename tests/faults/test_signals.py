"""Ctrl-C and SIGTERM at any moment of a real process: one line, the exit code of a signal, and the next run goes on."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loader.interrupt import ENDING
from tests.support import COMMAND_SECONDS, GOLDEN, ROOT, Home, wait_for

pytestmark = [pytest.mark.kill, pytest.mark.dbt]
COMMAND = [sys.executable, "-m", "loader", "--environment", "staging", "--validate-only", "--source", str(GOLDEN)]
# `make rehearse-faults` takes 100.
MOMENTS = int(os.environ.get("SIGNAL_MOMENTS", "10"))


def handles_signals(process: int) -> bool:
    """Tell whether Python has started and our first line has run."""
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return bool(int(fields["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1)


def ended(home: Home, number: signal.Signals, seconds: float) -> tuple[int, str]:
    """Send a signal to a run so long after its first line; return its exit code and what it said on standard error."""
    process = subprocess.Popen(
        COMMAND, cwd=ROOT, env=home.variables(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: handles_signals(process.pid))
    time.sleep(seconds)
    process.send_signal(number)
    _, error = process.communicate(timeout=COMMAND_SECONDS)
    return process.returncode, error


def test_a_signal_at_any_moment_is_one_line_and_its_exit_code(home: Home):
    draw = random.Random(20_261_128)  # noqa: S311 - repeatable, not secret
    begun = time.monotonic()
    assert home.run(COMMAND).returncode == 0
    whole = time.monotonic() - begun
    for _ in range(MOMENTS):
        number, latest = draw.choice(ENDING), draw.choice([0.01, 1.0, whole])
        code, error = ended(home, number, draw.uniform(0, latest))
        if code:
            assert code == 128 + number, error
            assert error.startswith(f"error: interrupted by signal {number:d}; run the same command again"), error
            assert len(error.splitlines()) == 1, error
    assert home.run(COMMAND).returncode == 0
    assert home.query("select bool_and(closes) from audit.rpt_run_ledger where state <> 'refused'") == [(True,)]


WRITES = """
import signal, sys
from pathlib import Path
from loader.errors import Interrupted
from loader.storage.warehouse import Warehouse

def interrupt(number, _frame):
    raise Interrupted(number)

signal.signal(signal.SIGTERM, interrupt)
print("ready", flush=True)
try:
    warehouse = Warehouse(Path(sys.argv[1]), 1, print)
    with warehouse.locked(), warehouse.connection() as connection:
        connection.execute("create or replace table main.numbers as select range as number from range(1000)")
except Interrupted:
    sys.exit(143)
"""


def test_a_signal_within_a_transaction_or_a_checkpoint_stays_a_signal(home: Home):
    """DuckDB raises an error of its own in its place; the last checkpoint of a run was left out once."""
    draw = random.Random(3)  # noqa: S311 - repeatable, not secret
    codes = set()
    for _ in range(40):
        command = [sys.executable, "-c", WRITES, str(home.database)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0, 0.1))
        process.terminate()
        _, error = process.communicate(timeout=COMMAND_SECONDS)
        codes.add(process.returncode)
        assert "Traceback" not in error, error
    assert 143 in codes
    assert codes <= {143, 0, -signal.SIGTERM}
