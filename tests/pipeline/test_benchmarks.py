"""Each benchmark in small: it runs to its end and measures what it says, so that none stops working unnoticed.

Its limits are not judged: a small form measures little, beside other tests.
"""

import sys
from pathlib import Path

import pytest

from tests.support import ROOT, new_home

pytestmark = pytest.mark.dbt


def measured(folder: Path, name: str, *arguments: str) -> str:
    """Run a benchmark in a folder of the test's own; return what it printed."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    done = new_home(folder).run(command, BENCH_FOLDER=str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_start_is_timed_beside_a_plain_project(tmp_path: Path):
    printed = measured(tmp_path, "start", "--small")
    for subject in ("dbt build of the plain project", "--validate-only", "--import"):
        assert f"run 1 of 1, {subject}: " in printed
    assert printed.splitlines()[-1] == "the limits are not meant for a single turn"


def test_a_validation_is_timed_beside_a_bare_read_and_a_loop(tmp_path: Path):
    printed = measured(tmp_path, "validate", "--records", "2000", "--runs", "1")
    for subject in ("A bare read_csv", "B validate-only", "C DictReader loop"):
        assert f"run 1 of 1, {subject}: " in printed
    assert "B is at most " in printed
    assert "the limits are meant for 1,000,000 records" in printed


def test_delivery_is_timed_beside_bare_clients(tmp_path: Path):
    printed = measured(tmp_path, "deliver", "--small")
    assert "the loader, while it posts" in printed
    assert printed.splitlines()[-1].startswith("the limits are not meant for so few records")


def test_every_report_of_a_history_is_timed_and_the_history_is_proven(tmp_path: Path):
    printed = measured(tmp_path, "history", "--results", "2000", "--runs", "4", "--repeat", "1")
    for path in (ROOT / "dbt_project" / "models" / "audit" / "reports").glob("rpt_*.sql"):
        assert f"{path.stem}, whole" in printed
    (explained,) = [line for line in printed.splitlines() if line.startswith("explain, ")]
    assert " s" in explained
    (proof,) = [line for line in printed.splitlines() if line.startswith("audit-verify, ")]
    assert proof.endswith(" proven")
    assert "NOT" not in proof
    assert "the limits are meant for 1,000,000 result rows" in printed
