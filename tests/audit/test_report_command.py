"""`report`: what it makes of a probe, and what it refuses, in one line each."""

import json
from pathlib import Path

import duckdb
import pytest

from loader.__main__ import main
from loader.reports.files import write_json
from tests.support import Home, new_home

pytestmark = pytest.mark.dbt

PROBE = {"run_id": "a-probe", "checks": [{"name": "h\u00e9alth", "passed": True, "n": 1.5}], "contract": None}
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def history(workplace: Path, built: Path) -> Home:
    """Return a home with the traces of a run, of one that was refused, of one under way, and of two probes."""
    home = new_home(workplace / "report_command", built)
    home.query("insert into audit.fct_runs by name select '20260130T101512Z-4f2a9c' as run_id, 'e' as entity_type")
    home.query("insert into audit.fct_probe_checks by name select 'an-older-probe' as run_id")
    event = "insert into audit.fct_run_events by name select ? as run_id, ? as action, ? as details"
    home.query(event, "a-refused-one", "run_refused", '{"reason": "production"}')
    home.query(event, "one-under-way", "run_started", "{}")
    document = "insert into audit.fct_probe_documents by name select 'a-probe' as run_id, ? as document"
    home.query(document, json.dumps(PROBE))
    return home


@pytest.fixture(autouse=True)
def _as_in_the_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command, which is carried out in this process, see the home's environment."""
    home = "empty_home" if "empty_home" in request.fixturenames else "history"
    for name, value in request.getfixturevalue(home).variables().items():
        monkeypatch.setenv(name, value)


def reported(*arguments: str | Path) -> int:
    return main(["report", *map(str, arguments)])


def test_the_file_of_a_probe_is_made_from_its_document(tmp_path: Path):
    path = write_json(tmp_path / "contract_probe_a-probe.json", PROBE).path
    assert reported("a-probe", "--output", tmp_path / "again") == 0
    assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: RUN_ID|TABLE"),
        (["nobody"], "no run 'nobody'; the last ones are 2026"),
        (["a-refused-one"], "run a-refused-one was refused and wrote no file: production"),
        (["one-under-way"], "run one-under-way did not end: it is under way, or was killed"),
        (["one-under-way", "--html"], "run one-under-way did not end"),
        (["an-older-probe"], "run an-older-probe was a contract probe whose document was not kept"),
        (["last", "--format", "csv"], "last is taken for a run: --format and --run are for a table"),
        (["last", "--include-text"], "--include-text goes with --html"),
        (["last", "--html", "--json"], "leave it out with --html"),
        (["rpt_run_ledger", "--html"], "rpt_run_ledger is a table"),
        (["last", "--output", "-"], "--output - is for a table or --html"),
        (["last", "--run", ""], "--format and --run are for a table"),
        (["rpt_run_ledger", "--run", ""], "no run ''"),
        (["\udcff"], r"the argument '\xff' is not UTF-8"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(capsys: Captured, arguments: list[str], message: str):
    assert reported(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_without_a_database_it_says_what_makes_one(empty_home: Home, capsys: Captured):
    assert reported("last") == 2
    assert "there is no database yet; run: dbt build" in capsys.readouterr().err
    with duckdb.connect(str(empty_home.database)):
        pass
    assert reported("last") == 2
    assert "a table is missing; run: dbt build" in capsys.readouterr().err
