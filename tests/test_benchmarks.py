"""Each part of `make bench` in small, to its end: it could not run once, and nobody saw that delivery was slow."""

import subprocess
import sys

import pytest

from tests.support import ROOT

SMALL = {
    "validate": ("--records", "500", "--runs", "1"),
    "deliver": ("--small",),
    "history": ("--results", "2000", "--runs", "4", "--repeat", "1"),
}
LAST_LINES = {
    "validate": "the limits are meant for 1,000,000 records",
    "deliver": "the limits are not meant for so few records",
    "history": "the limits are meant for 1,000,000 result rows",
}


@pytest.mark.parametrize("part", SMALL)
def test_the_benchmark_runs_to_its_end(part: str):
    command = [sys.executable, "-m", f"benchmarks.{part}", *SMALL[part]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(LAST_LINES[part])
