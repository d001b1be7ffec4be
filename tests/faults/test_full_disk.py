"""A disk that is full, or an output folder that takes no files, during an import: one line, and all of it goes on."""

import subprocess
import sys

import pytest

from sandbox.process import Sandbox
from tests.support import Home

# Runs the loader with a limit on the size of every file that it writes: what is over it fails as on a full disk.
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
os.execv(sys.executable, [sys.executable, "-m", "loader", "--environment", "staging", "--import", "--batch-size", "1"])
"""
# What the database's log takes before it fails: from nothing at all to most of an import.
SIZES = (0, 4_000, 8_000, 12_000)


def limited(home: Home, size: int) -> subprocess.CompletedProcess[str]:
    return home.run([sys.executable, "-c", LIMITED, str(size)])


def accounted(home: Home) -> None:
    runs = home.query("select run_id, ready_records, closes from audit.fct_runs where address is not null")
    for run_id, ready, closes in runs:
        records = home.query(
            "select count(distinct record_number) from audit.fct_import_records where run_id = ?", run_id
        )
        assert (records, closes) == ([(ready,)], True)


@pytest.mark.parametrize("size", SIZES)
def test_a_full_disk_under_the_database_stops_the_run_and_loses_nothing(home: Home, sandbox: Sandbox, size: int):
    done = limited(home, size)
    assert done.returncode in (2, 4), done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert "run the same command again" in error
    # The probe has ended before; its file may be there, whole.
    assert [path.name for path in home.output.glob("*.json") if not path.name.startswith("contract_probe")] == []
    before = len(sandbox.records())
    again = home.loader("--import")
    assert again.returncode == 0, again.stderr
    assert len(sandbox.records()) == 5
    assert before <= 5
    created = "select count(*), count(distinct reference_number) from audit.fct_import_records where result = 'created'"
    assert home.query(created) == [(5, 5)]
    accounted(home)


def test_an_output_folder_that_takes_no_file_stops_the_run_after_its_records_are_kept(home: Home, sandbox: Sandbox):
    home.output.write_text("a file where the folder should be")
    done = home.loader("--import")
    assert done.returncode == 4, done.stderr
    (error,) = done.stderr.splitlines()
    assert "correct ETL_OUTPUT_DIR, then run the same command again" in error
    assert len(sandbox.records()) == 5
    accounted(home)
    home.output.unlink()
    again = home.loader("--import")
    assert again.returncode == 0, again.stderr
    assert len(home.documents("import_summary")) == 1


@pytest.mark.parametrize("kind", ["a full disk", "a closed pipe"])
def test_an_import_goes_on_when_its_output_can_be_written_nowhere(home: Home, sandbox: Sandbox, kind: str):
    into = "> /dev/full 2> /dev/full" if kind == "a full disk" else "2>&1 | true"
    script = f'set -o pipefail; "$0" -m loader --environment staging --import {into}'
    done = home.run(["bash", "-c", script, sys.executable])
    assert done.returncode == 0, done.stderr
    assert home.query("select created_records, closes, exit_code from audit.fct_runs") == [(5, True, 0)]
    assert len(sandbox.records()) == 5
    assert len(home.documents("import_summary")) == 1


def test_a_summary_that_cannot_be_written_is_one_line(home: Home, sandbox: Sandbox):
    script = '"$0" -m loader --environment staging --import --json > /dev/full'
    done = home.run(["bash", "-c", script, sys.executable])
    assert done.returncode == 4
    (error,) = done.stderr.splitlines()
    assert error.startswith("error: standard output cannot be written (No space left on device)")
    assert len(sandbox.records()) == 5
    accounted(home)
