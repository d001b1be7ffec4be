"""`report RUN_ID`: the files of a run again, byte for byte, whatever happened to the run and to the database since."""

import json
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from loader.__main__ import main
from loader.audit.runs import find_run
from loader.reports.documents import write_reports
from loader.reports.remake import State, remake
from loader.storage.warehouse import Warehouse
from tests.forked import killed
from tests.support import GOLDEN, Home, new_home
from tests.warm import running_sandbox

Captured = pytest.CaptureFixture[str]
RUNS = ("dry run", "import", "killed", "next", "rejected")
REPORTS = {"validation", "stats", "audit"}
REFUSED = {"error": {"code": "VALIDATION_ERROR", "message": "no", "details": {"errors": []}}}


@pytest.fixture(autouse=True)
def _as_in_the_home(history: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command, which is carried out in this process, see the home's environment."""
    for name, value in history.variables().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def history(workplace: Path, built: Path) -> Iterator[Home]:
    """Return a home with a run of every kind; the last one has replaced what the others were built from."""
    folder = workplace / "remade"
    home = new_home(folder, built)
    with running_sandbox(folder / "sandbox.sqlite", "--environment", "staging") as sandbox:
        home.environment |= {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token()}
        assert home.loader("--dry-run").returncode == 0
        sandbox.fault("body", status=422, text=json.dumps(REFUSED), reference="EXT-2026-0002")
        sandbox.fault("drop_after_commit", reference="EXT-2026-0003")
        sandbox.fault("status", value=503, reference="EXT-2026-0004")
        done = home.loader("--import", "--verify")
        assert done.returncode == 1, done.stderr
        killed(home, "after:commit_intents:2", "--environment", "staging", "--batch-size", "2")
        assert home.loader("--import").returncode == 0
        rejected = home.csv(
            "rejected.csv", "A-1,,=1+1,spill,urgent,open,15/01/2026,", "A-2,a,b,other,low,open,2026-01-15"
        )
        assert home.loader("--validate-only", "--source", rejected).returncode == 1
        yield home


def warehouse(home: Home, database: Path | None = None) -> Warehouse:
    return Warehouse(database or home.database, 1, print)


def run_ids(home: Home) -> dict[str, str]:
    return dict(
        zip(RUNS, [run for (run,) in home.query("select run_id from audit.fct_runs order by rowid")], strict=True)
    )


def reported(*arguments: str | Path) -> int:
    """Carry out `python -m loader report ...` in this process."""
    return main(["report", *map(str, arguments)])


@pytest.mark.parametrize("name", RUNS)
def test_every_file_is_what_the_run_wrote(history: Home, tmp_path: Path, name: str):
    run_id = run_ids(history)[name]
    files, missing = remake(warehouse(history), find_run(warehouse(history), run_id), tmp_path / "again")
    kinds = REPORTS | ({"import_summary", "contract_probe"} if name in ("import", "killed", "next") else set())
    assert {file.kind for file in files} == kinds | ({"accepted", "rejected"} if name == "rejected" else set())
    assert (missing == []) == (name == "rejected")
    # The file of the probe was written before the kill.
    states = {file.kind: file.state for file in files}
    assert states.pop("contract_probe", State.IDENTICAL) is State.IDENTICAL
    assert set(states.values()) == {State.NEW if name == "killed" else State.IDENTICAL}
    for file in files:
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
        if name != "killed":
            assert file.path.read_bytes() == (history.output / file.path.name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == sorted(file.path.name for file in files)


def test_the_scenario_has_what_could_differ(history: Home):
    ids = run_ids(history)
    of_run = "select {} from audit.{} where run_id = ? {}"
    results = of_run.format("result, count(*), max(attempts)", "fct_import_records", "group by 1 order by 1")
    assert history.query(results, ids["import"]) == [("created", 4, 2), ("failed", 1, 1)]
    assert history.query(of_run.format("exit_code", "fct_runs", ""), ids["killed"]) == [(None,)]
    assert history.query(of_run.format("count(*)", "fct_readback", ""), ids["import"]) == [(4,)]
    carried = of_run.format("count(*)", "fct_import_records", "and confirmed_by = 'earlier_run'")
    assert history.query(carried, ids["next"]) == [(2,)]


def test_the_order_of_the_rows_in_the_tables_does_not_matter(history: Home, tmp_path: Path):
    database = tmp_path / "copy.duckdb"
    shutil.copy(history.database, database)
    tie = "insert into audit.{table} by name select * replace ({other}) from audit.{table} where {where} limit 3"
    with duckdb.connect(str(database)) as connection:
        for table, other, where in (
            ("fct_issues", "'another message' as message", "severity = 'error'"),
            ("fct_issues", "'a third message' as message", "severity = 'error'"),
            ("fct_issues", "'another value' as value", "severity = 'error'"),
            ("fct_run_events", "'{\"another\": 1}' as details", "action = 'batch_committed'"),
        ):
            connection.execute(tie.format(table=table, other=other, where=where))
    made = []
    for order in ("hash({table}::varchar)", "hash({table}::varchar || 'x')"):
        with duckdb.connect(str(database)) as connection:
            tables = connection.execute("select table_name from duckdb_tables() where schema_name = 'audit'").fetchall()
            for (table,) in tables:
                shuffled = f"from audit.{table} order by {order.format(table=table)}"
                connection.execute(f"create or replace table audit.{table} as {shuffled}")
        made.append([again(database, run_ids(history)[name], tmp_path) for name in ("import", "rejected")])
    assert made[0] == made[1]


def again(database: Path, run_id: str, folder: Path) -> list[str]:
    held = Warehouse(database, 1, print)
    return [file.sha256 for file in write_reports(held, find_run(held, run_id), folder)]


def test_the_command_says_of_each_file_what_it_is(history: Home):
    done = history.run([sys.executable, "-m", "loader", "report", "last"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(": identical to what the run wrote\n") == 5
    assert f"rejected_incident_{run_ids(history)['rejected']}.csv: identical" in done.stdout


def test_records_that_are_gone_are_named_with_the_command_that_splits_them_anew(
    history: Home, capsys: Captured, tmp_path: Path
):
    assert reported(run_ids(history)["import"], "--output", tmp_path) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "the accepted and rejected records cannot be made again" in last
    assert f"--validate-only --source data/etl_source/{GOLDEN.name}" in last


def test_a_file_that_somebody_has_changed_is_left_as_it_is(history: Home, capsys: Captured, tmp_path: Path):
    name = f"rejected_incident_{run_ids(history)['rejected']}.csv"
    (tmp_path / name).write_text("being corrected", encoding="utf-8")
    assert reported("last", "--output", tmp_path, "--json") == 1
    files = {file["kind"]: file for file in json.loads(capsys.readouterr().out)["files"]}
    assert files.pop("rejected")["state"] == "other_file"
    assert {file["state"] for file in files.values()} == {"identical"}
    assert (tmp_path / name).read_text(encoding="utf-8") == "being corrected"


def test_audit_rows_that_were_changed_show(history: Home, tmp_path: Path):
    database, run_id = tmp_path / "copy.duckdb", run_ids(history)["import"]
    shutil.copy(history.database, database)
    with duckdb.connect(str(database)) as connection:
        connection.execute("update audit.fct_import_records set result = 'created' where result = 'failed'")
    files, _ = remake(warehouse(history, database), find_run(warehouse(history, database), run_id), tmp_path)
    assert {file.kind for file in files if file.state is State.DIFFERS} == {"audit", "import_summary"}
