"""The fingerprint of a subject's rows: the same however many there are, and whatever their order."""

import subprocess
import sys

import duckdb
import pytest

from loader.audit.digests import Content, Subject, audit_tables, contents
from loader.config import ROOT

ROWS = "select 'R-' || (i % 3) as run_id, if(i % 7 = 0, null, i // 5) as n, 'a:' || (i // 2) as words from range(2000)"


def fingerprints(order: str, rows_in_memory: int) -> dict[Subject, Content]:
    with duckdb.connect() as connection:
        connection.execute(f"create schema audit; create table audit.fct_things as {ROWS} as t(i) order by {order}")
        tables = audit_tables(connection)
        assert [table.name for table in tables] == ["fct_things"]
        return contents(connection, tables, rows_in_memory=rows_in_memory)


@pytest.mark.parametrize("rows_in_memory", [0, 1999, 2000])
def test_a_fingerprint_depends_on_the_rows_alone(rows_in_memory: int):
    expected = fingerprints("i", 2_000_000)
    assert {subject.id: content["fct_things"]["rows"] for subject, content in expected.items()} == {
        "R-0": 667,
        "R-1": 667,
        "R-2": 666,
    }
    assert fingerprints("hash(i)", rows_in_memory) == expected


# A limit on the size of every file that is written: what is over it fails as on a full disk.
LIMITED = """
import resource
from loader.errors import StoppedEarly
from tests.audit.test_subjects import fingerprints
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))
try:
    fingerprints("i", 0)
except StoppedEarly as error:
    print(error)
"""


def test_a_full_temporary_folder_is_named():
    done = subprocess.run([sys.executable, "-c", LIMITED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "cannot be written (File too large)" in done.stdout
    assert "set TMPDIR, then run the same command again" in done.stdout
    assert done.stdout.count("\n") == 1
