"""`report rpt_...`: any report table as CSV, Parquet or JSON, to any path, whole or not at all."""

import csv
import json
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from loader.__main__ import main
from tests.support import ROOT, Home, new_home

Command = Callable[..., int]
RUN = "20260130T101512Z-4f2a9c"
FORMULAS = ["=1+1", "+64", "-", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "'=1", "plain", "", 'a,"b"\nc', None]
VIEWS = sorted(path.stem for path in (ROOT / "dbt_project" / "models" / "audit" / "reports").glob("rpt_*.sql"))


@pytest.fixture(scope="module")
def home(workplace: Path, built: Path) -> Home:
    """Return a home with two runs, whose issues have texts that a spreadsheet would run, and a negative number."""
    home = new_home(workplace / "exports_of_tables", built)
    for run_id in (RUN, "20260131T101512Z-000000"):
        home.query(
            "insert into audit.fct_runs by name "
            "select ? as run_id, 'import' as mode, 'e' as entity_type, 'a.csv' as source_file",
            run_id,
        )
        home.query(
            "insert into audit.fct_issues by name select ? as run_id, 'e' as entity_type, 'error' as severity, "
            "'c' as code, place as record_number, place as line_number, 'R' || place as reference_number, "
            "text as message "
            "from (select unnest(range(len($2))) as place, unnest($2) as text)",
            run_id,
            FORMULAS,
        )
        home.query(
            "insert into audit.fct_import_records by name select ? as run_id, 'e' as entity_type, 'created' as result, "
            "1 as record_number, 1 as attempts, -1.5 as response_time_ms",
            run_id,
        )
    return home


@pytest.fixture
def exported(home: Home, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return `python -m loader report ...` in this process."""
    for name, value in home.variables().items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: main(["report", *map(str, arguments)])


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_every_table_in_every_format(exported: Command, home: Home, tmp_path: Path, form: str):
    readers = {"csv": "read_csv('{}', all_varchar=true)", "json": "read_json('{}')", "parquet": "read_parquet('{}')"}
    assert len(VIEWS) >= 5
    for view in VIEWS:
        path = tmp_path / f"{view}.{form}"
        assert exported(view, "--format", form, "--output", path) == 0
        with duckdb.connect(str(home.database), read_only=True) as connection:
            rows = connection.sql(f"from audit.{view}")
            names, count = rows.columns, len(rows.fetchall())
            if count:
                again = connection.sql(f"from {readers[form].format(path)}")
                assert (again.columns, len(again.fetchall())) == (names, count)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        if form == "json":
            assert len(json.loads(path.read_text(encoding="utf-8"))) == count
        if form == "csv":
            with path.open(encoding="utf-8", newline="") as file:
                assert next(csv.reader(file)) == names


def test_no_spreadsheet_runs_a_cell_of_a_csv(exported: Command, tmp_path: Path):
    assert exported("rpt_issue_history", "--run", RUN, "--output", tmp_path / "a.csv") == 0
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["line_number"]))
    run = re.compile("^'*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")
    safe = [("'" + text if run.match(text) else text) if text is not None else "" for text in FORMULAS]
    assert [row["message"] for row in rows] == safe


def test_a_negative_number_stays_a_number(exported: Command, tmp_path: Path):
    assert exported("rpt_import_summary", "--run", "last", "--output", tmp_path / "a.csv") == 0
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["run_id"], row["average_response_ms"]) == ("20260131T101512Z-000000", "-1.5")


@pytest.mark.parametrize(
    "name",
    [
        "it's; drop table x.csv",
        "a*[1]?.csv",
        'two\nlines "x".csv',
        "%s{}$1.gz",
        "-",
        "--output",
        "caf\u00e9 \u202e.csv",
    ],
)
def test_a_path_is_a_path_whatever_it_looks_like(exported: Command, tmp_path: Path, name: str):
    (tmp_path / "a1x.csv").write_text("other", encoding="utf-8")
    assert exported("rpt_run_ledger", f"--output={tmp_path / name}") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a1x.csv", name])
    assert (tmp_path / name).read_text(encoding="utf-8").startswith("run_id,")


def test_it_is_the_same_each_time_and_goes_to_standard_output(
    exported: Command, capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    assert exported("rpt_issue_history") == 0
    assert exported("rpt_issue_history", "--output", tmp_path / "a.csv") == 0
    out, err = capfd.readouterr()
    assert out.encode() == (tmp_path / "a.csv").read_bytes()
    assert err == f"wrote {tmp_path / 'a.csv'}\n"
    assert exported("rpt_run_ledger", "--format", "json", "--output", "-") == 0
    assert json.loads(capfd.readouterr().out)[0]["run_id"] == RUN


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rpt_nothing"], "no table 'rpt_nothing' in audit; there are rpt_audit_trail, "),
        (["rpt_run_ledger; drop table x"], "no table 'rpt_run_ledger; drop table x' in audit"),
        (["rpt_run_ledger", "--run", "nobody"], "no run 'nobody'"),
        (["rpt_run_ledger", "--format", "parquet"], "name a file with --output"),
        (["rpt_run_ledger", "--format", "xml"], "invalid choice: 'xml'"),
        (["rpt_run_ledger", "--output", "/dev/null"], "/dev/null: is not a regular file"),
        (["rpt_run_ledger", "--output", "/tmp"], "/tmp: is a folder"),  # noqa: S108 - nothing is written to it
    ],
)
def test_what_cannot_be_written_is_refused(
    exported: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    assert exported(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_path_that_cannot_be_is_one_line_and_leaves_nothing(
    exported: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for path in (tmp_path / "file" / "a.csv", tmp_path / ("a" * 300)):
        assert exported("rpt_run_ledger", "--output", path) == 4
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("shell", "code"), [("| head -c 1", 0), ("> /dev/full", 4)])
def test_a_reader_that_goes_away_is_no_error_and_a_full_disk_is_one_line(home: Home, shell: str, code: int):
    home.query(
        "insert into audit.fct_runs by name select 'x' || range as run_id, repeat('y', 200) as mode from range(999)"
    )
    command = f"set -o pipefail; {sys.executable} -m loader report rpt_run_ledger {shell}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=home.variables(), capture_output=True, text=True, check=False
    )
    home.query("delete from audit.fct_runs where starts_with(run_id, 'x')")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == (1 if code else 0), done.stderr
