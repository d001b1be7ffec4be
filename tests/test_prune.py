"""Retention: what is older than 90 days goes, with a receipt that is sealed; what a later run needs stays."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from loader.audit import now
from loader.subjects import Subject, audit_tables, contents
from loader.trail import audit_verify, prune
from loader.trail.removal import remove, remove_files
from loader.trail.retention import Plan, plan
from loader.warehouse import Warehouse
from sandbox.process import running_sandbox
from tests.forked import killed
from tests.history import aged, copied, verified
from tests.support import ROOT, Home, new_home


@pytest.fixture(scope="module")
def history(workplace: Path, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Return a home after a probe and three imports of the same file, the last of them killed while it posted."""
    database = tmp_path_factory.mktemp("prune") / "sandbox.sqlite"
    with running_sandbox(database, "--environment", "staging") as sandbox:
        variables = {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token()}
        home = new_home(workplace / "prune_history", built, **variables)
        assert home.probe("staging").returncode == 0
        assert home.loader("--import").returncode == 0
        assert home.loader("--import").returncode == 0
        killed(home, "before:commit_outcomes", "--environment", "staging")
        yield home


@pytest.fixture
def copy(history: Home, workplace: Path, request: pytest.FixtureRequest) -> Home:
    """Return a copy of that home, with report files of its own."""
    home = copied(history, workplace / f"prune_{request.node.name}"[:90])
    shutil.copytree(history.output, home.output)
    home.query("update audit.fct_output_files set path = replace(path, ?, ?)", str(history.output), str(home.output))
    return home


def runs(home: Home) -> list[str]:
    """Return the ids of the probe and the three imports, in the order of time."""
    return [run for (run,) in home.query("select distinct run_id from audit.fct_probe_checks order by 1")]


def ages(**of: int) -> Callable[[str], int]:
    return lambda subject: of.get(subject, 0)


def planned(home: Home, moment: datetime | None = None) -> Plan:
    with duckdb.connect(str(home.database), read_only=True) as connection:
        return plan(connection, moment or now(), 90)


def pruned(home: Home, moment: datetime) -> Plan:
    """Remove what is older than 90 days at a moment."""
    warehouse = Warehouse(home.database, 1, print)
    found, *_ = remove(warehouse, moment, 90, print)
    assert remove_files(warehouse) == []
    return found


def test_89_days_are_kept_and_91_removed_with_a_receipt_that_verifies(copy: Home):
    probe, first, second, killed_run = runs(copy)
    aged(copy, ages(**{probe: 91, first: 91, second: 89, killed_run: 91}))
    files = [path for (path,) in copy.query("select path from audit.fct_output_files where run_id = ?", first)]
    changed = next(path for path in files if "accepted" in path)
    Path(changed).write_text("corrected by hand")
    looked = copy.loader("prune", "--json")
    assert looked.returncode == 0, looked.stderr
    would = json.loads(looked.stdout)
    assert [gone["id"] for gone in would["subjects"]] == [probe, first]
    assert (would["removed"], would["receipt_id"]) == (False, None)
    assert {"kind": "run", "id": killed_run, "reason": "unfinished"} in would["kept"]
    assert verified(copy) == []
    before = dict(copy.query("select subject_id, content from audit.fct_seals"))

    done = copy.loader("prune", "--yes")
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"report files left: they are not what the run wrote any more: 1\n  {changed}" in done.stdout
    assert [Path(path).exists() for path in files] == [path == changed for path in files]
    assert set(runs(copy)) == {second, killed_run}
    receipts = copy.query("select subject_id, retention_days, rows, content, files, files_left from audit.fct_receipts")
    assert [receipt[:2] for receipt in receipts] == [(probe, 90), (first, 90)]
    assert json.loads(receipts[0][3]) == json.loads(before[probe])
    kept_alone = json.loads(before[first]).keys() - json.loads(receipts[1][3]).keys()
    assert kept_alone <= {"fct_pacing"}
    assert len(json.loads(receipts[1][4])) == len(files) - 1
    assert json.loads(receipts[1][5]) == [changed]
    proof = copy.loader("audit-verify")
    assert proof.returncode == 0, proof.stdout
    assert "removed with a receipt: 2 runs" in proof.stdout
    assert json.loads(copy.loader("prune", "--json").stdout)["subjects"] == []
    # The unfinished run is closed by the next import, as if nothing had been removed.
    again = copy.loader("--import")
    assert again.returncode == 0, again.stderr
    assert f"run {killed_run} ended without finishing" in again.stderr
    assert verified(copy) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("delete from audit.fct_receipts", "fct_receipts: sealed 2 rows, found 0"),
        ("update audit.fct_receipts set content = '{}'", "sealed"),
        (
            "insert into audit.fct_runs by name select subject_id as run_id from audit.fct_receipts",
            "sealed 0 rows, found 1",
        ),
        (
            "insert into audit.fct_receipts by name select * replace ('made-up' as receipt_id) from audit.fct_receipts",
            "it was not written by prune: it has no seal",
        ),
    ],
    ids=["receipt removed", "receipt changed", "row put back", "receipt added"],
)
def test_a_receipt_is_as_tamper_evident_as_a_run(copy: Home, change: str, said: str):
    probe, first, *_ = runs(copy)
    aged(copy, ages(**{probe: 200, first: 200}))
    assert [removal.subject.id for removal in pruned(copy, now()).removals] == [probe, first]
    assert verified(copy) == []
    copy.query(change)
    assert any(said in problem.what for problem in verified(copy)), [str(problem) for problem in verified(copy)]


def test_what_was_changed_is_not_removed_with_what_shows_it(copy: Home):
    probe, first, *_ = runs(copy)
    aged(copy, ages(**{probe: 200, first: 200}))
    copy.query("update audit.fct_runs set exit_code = 7 where run_id = ?", first)
    done = copy.loader("prune", "--yes")
    assert done.returncode == 1
    assert f"run {first}: not as it was sealed: run audit-verify" in done.stdout
    assert first in runs(copy)
    assert [problem.subject for problem in verified(copy)] == [Subject("run", first)]


def test_a_run_that_left_unknown_records_stays_until_another_has_settled_them(copy: Home):
    probe, first, second, killed_run = runs(copy)
    assert copy.loader("--import").returncode == 0
    last = runs(copy)[-1]
    aged(copy, ages(**{probe: 100, first: 300, second: 300, killed_run: 200, last: 100}))
    # Its records are known to be there by the other runs: nothing is open. All of it is old, and goes.
    everything = planned(copy)
    assert {removal.subject.id for removal in everything.removals} >= {first, second, killed_run, last}
    assert everything.kept == {}
    # Of those that settle them, the last stays as long as the run that left them unknown does.
    young = planned(copy, now() - timedelta(days=115))
    assert {removal.subject.id for removal in young.removals} == {first, second}
    copy.query("update audit.fct_import_records set result = 'failed' where result in ('created', 'exists')")
    open_ones = planned(copy)
    assert open_ones.kept[Subject("run", killed_run)] == "has records whose fate is unknown"


def test_a_young_run_keeps_the_old_one_that_settles_its_unknown_records(copy: Home):
    probe, first, second, killed_run = runs(copy)
    aged(copy, ages(**{probe: 300, first: 300, second: 300}))
    found = planned(copy)
    # The killed run is young and unfinished: nothing of it is known to be lost yet.
    assert {removal.subject.id for removal in found.removals} == {probe, first, second}
    assert copy.loader("--import", QGP_STAGING_API_URL="http://127.0.0.1:1").returncode == 3
    copy.query(
        "insert into audit.fct_import_records by name select * replace ('unknown' as result, ? as run_id) "
        "from audit.fct_import_records where run_id = ?",
        killed_run,
        second,
    )
    copy.query(
        "insert into audit.fct_runs by name select * replace (? as run_id, null as exit_code) "
        "from audit.fct_runs where run_id = ?",
        killed_run,
        second,
    )
    kept = planned(copy).kept
    assert kept[Subject("run", second)] == "needed by a run that is kept"
    assert Subject("run", first) not in kept


def test_the_last_rate_of_an_address_and_the_last_build_outlive_their_age(copy: Home):
    _, first, _, killed_run = runs(copy)
    learned = (first, 60)
    copy.query(
        "insert into audit.fct_pacing by name select ? as run_id, 'http://x' as address, '/x' as endpoint, "
        "60 as requests_per_window, timestamp '2026-01-01' as learned_at",
        first,
    )
    aged(copy, lambda subject: 0 if subject == killed_run else 400)
    ((invocation,),) = copy.query("select invocation_id from audit.fct_dbt_invocations")
    found = pruned(copy, now())
    assert found.kept[Subject("invocation", invocation)] == "needed by a run that is kept"
    assert learned in copy.query("select run_id, requests_per_window from audit.fct_pacing")
    assert copy.query("select count(*) from audit.fct_runs where run_id = ?", learned[0]) == [(0,)]
    assert verified(copy) == []
    # It goes when a later run has learned another one.
    copy.query("insert into audit.fct_pacing by name select * replace (? as run_id) from audit.fct_pacing", killed_run)
    (gone,) = planned(copy).removals
    assert (gone.subject, list(gone.tables)) == (Subject("run", learned[0]), ["fct_pacing"])


def test_files_that_a_kill_left_are_removed_by_the_next_prune(copy: Home):
    probe, first, *_ = runs(copy)
    aged(copy, ages(**{probe: 200, first: 200}))
    files = [Path(path) for (path,) in copy.query("select path from audit.fct_output_files where run_id = ?", first)]
    remove(Warehouse(copy.database, 1, print), now(), 90, print)
    assert all(path.exists() for path in files)
    assert copy.loader("prune", "--yes").returncode == 0
    assert not any(path.exists() for path in files)


def test_every_flag_stands_in_the_runbook():
    page = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8")
    for parser in (audit_verify.parser("x"), prune.parser("x")):
        flags = set(re.findall(r"--[a-z-]+", parser.format_help())) - {"--help"}
        assert "--json" in flags
        assert {flag for flag in flags if flag not in page} == set()


def test_fewer_than_90_days_are_refused(copy: Home):
    copy.settings(days="89")
    done = copy.loader("prune")
    assert done.returncode == 2
    (error,) = done.stderr.splitlines()
    assert "[retention] days must be at least 90, not 89" in error


def test_what_is_removed_is_all_of_it_and_no_more(copy: Home):
    probe, first, second, killed_run = runs(copy)
    aged(copy, ages(**{probe: 91, first: 91}))
    with duckdb.connect(str(copy.database)) as connection:
        before = contents(connection, audit_tables(connection))
    found = pruned(copy, now())
    with duckdb.connect(str(copy.database)) as connection:
        after = contents(connection, audit_tables(connection))
    for kept in (second, killed_run):
        assert after[Subject("run", kept)] == before[Subject("run", kept)]
    assert found.rows() == {
        table: sum(before[Subject("run", run)].get(table, {"rows": 0})["rows"] for run in (probe, first))
        for table in found.rows()
    }
    assert all(table == "fct_pacing" for table in after.get(Subject("run", first), {}))
