"""Retention: what is older than 90 days goes, with a receipt that is sealed; what a later run needs stays."""

import hashlib
import json
import re
from pathlib import Path

import duckdb
import pytest

from loader.audit import prune
from loader.audit import verify as audit_verify
from loader.audit.digests import Subject, audit_tables, contents
from loader.audit.journal import now
from loader.audit.retention import remove
from loader.audit.seals import add_seals
from loader.storage.warehouse import Warehouse, insert
from tests.history import aged, ages, pruned, runs, sealed, verified
from tests.support import ROOT, Home


def test_89_days_are_kept_and_91_removed_with_a_receipt_that_verifies(old: Home):
    probe, first, second, killed_run = runs(old)
    aged(old, ages(**{probe: 91, first: 91, second: 89, killed_run: 91}))
    files = [path for (path,) in old.query("select path from audit.fct_output_files where run_id = ?", first)]
    changed = next(path for path in files if "accepted" in path)
    Path(changed).write_text("corrected by hand")
    looked = old.loader("prune", "--json")
    assert looked.returncode == 0, looked.stderr
    would = json.loads(looked.stdout)
    assert [gone["id"] for gone in would["subjects"]] == [probe, first]
    assert (would["removed"], would["receipt_id"]) == (False, None)
    assert {"kind": "run", "id": killed_run, "reason": "unfinished"} in would["kept"]
    assert verified(old) == []
    before = dict(old.query("select subject_id, content from audit.fct_seals"))

    done = old.loader("prune", "--yes")
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"report files left: they are not what the run wrote any more: 1\n  {changed}" in done.stdout
    assert [Path(path).exists() for path in files] == [path == changed for path in files]
    assert set(runs(old)) == {second, killed_run}
    receipts = old.query("select subject_id, retention_days, rows, content, files, files_left from audit.fct_receipts")
    assert [receipt[:2] for receipt in receipts] == [(probe, 90), (first, 90)]
    # The contract that the probe verified is the last of its address: it stays.
    assert json.loads(receipts[0][3]) == {
        table: rows for table, rows in json.loads(before[probe]).items() if table != "fct_contracts"
    }
    assert old.query("select run_id from audit.fct_contracts") == [(probe,)]
    assert json.loads(receipts[1][3]) == json.loads(before[first])
    assert len(json.loads(receipts[1][4])) == len(files) - 1
    assert json.loads(receipts[1][5]) == [changed]
    proof = old.loader("audit-verify")
    assert proof.returncode == 0, proof.stdout
    assert "removed with a receipt: 2 runs" in proof.stdout
    assert json.loads(old.loader("prune", "--json").stdout)["subjects"] == []
    # The unfinished run is closed by the next import, as if nothing had been removed.
    again = old.loader("--import")
    assert again.returncode == 0, again.stderr
    assert f"run {killed_run} ended without finishing" in again.stderr
    assert verified(old) == []


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
def test_a_receipt_is_as_tamper_evident_as_a_run(old: Home, change: str, said: str):
    probe, first, *_ = runs(old)
    aged(old, ages(**{probe: 200, first: 200}))
    assert [removal.subject.id for removal in pruned(old, now()).removals] == [probe, first]
    assert verified(old) == []
    old.query(change)
    assert any(said in problem.what for problem in verified(old)), [str(problem) for problem in verified(old)]


@pytest.mark.parametrize("began", ["2020-01-01", "2999-01-01"])
def test_a_receipt_made_up_for_a_young_run_is_named_though_it_is_sealed(old: Home, began: str):
    _, first, *_ = runs(old)
    sealed(old)
    forged = Subject("receipt", "made-up")
    with duckdb.connect(str(old.database)) as connection:
        ((content,),) = connection.execute(
            "select content from audit.fct_seals where subject_id = ?", [first]
        ).fetchall()
        for table in json.loads(content):
            connection.execute(f"delete from audit.{table} where run_id = ?", [first])  # noqa: S608
        row = {"receipt_id": "made-up", "pruned_at": now(), "retention_days": 90, "kind": "run", "subject_id": first}
        insert(connection, "fct_receipts", [row | {"began_at": began, "rows": 1, "content": content}])
        add_seals(connection, [forged])
    said = f"{forged} says that it was removed, but it was too young for that"
    assert said in [problem.what for problem in verified(old)]


def test_a_receipt_made_up_for_a_file_of_another_removes_nothing(old: Home):
    probe, first, *_ = runs(old)
    aged(old, ages(**{probe: 200, first: 200}))
    pruned(old, now())
    mine = old.folder / "mine.csv"
    mine.write_text("mine")
    files = json.dumps([{"path": str(mine), "sha256": hashlib.sha256(b"mine").hexdigest()}])
    for identity, text in (("forged", files), ("sealed", files), ("broken", "{")):
        row = {"receipt_id": identity, "pruned_at": now(), "kind": "run", "subject_id": first, "files": text}
        with duckdb.connect(str(old.database)) as connection:
            insert(connection, "fct_receipts", [row])
            if identity != "forged":
                add_seals(connection, [Subject("receipt", identity)])
    assert old.loader("prune", "--yes").returncode == 0
    assert mine.read_text() == "mine"


def test_what_was_changed_is_not_removed_with_what_shows_it(old: Home):
    probe, first, *_ = runs(old)
    aged(old, ages(**{probe: 200, first: 200}))
    old.query("update audit.fct_runs set exit_code = 7 where run_id = ?", first)
    done = old.loader("prune", "--yes")
    assert done.returncode == 1
    assert f"run {first}: not as it was sealed: run audit-verify" in done.stdout
    assert first in runs(old)
    assert [problem.subject for problem in verified(old)] == [Subject("run", first)]


def test_files_that_a_kill_left_are_removed_by_the_next_prune(old: Home):
    probe, first, *_ = runs(old)
    aged(old, ages(**{probe: 200, first: 200}))
    files = [Path(path) for (path,) in old.query("select path from audit.fct_output_files where run_id = ?", first)]
    remove(Warehouse(old.database, 1, print), now(), 90, print)
    assert all(path.exists() for path in files)
    assert {str(path) for path in files} <= set(json.loads(old.loader("prune", "--json").stdout)["files"])
    assert old.loader("prune", "--yes").returncode == 0
    assert not any(path.exists() for path in files)


def test_every_flag_stands_in_the_runbook():
    page = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8")
    for parser in (audit_verify.parser("x"), prune.parser("x")):
        flags = set(re.findall(r"--[a-z-]+", parser.format_help())) - {"--help"}
        assert "--json" in flags
        assert {flag for flag in flags if flag not in page} == set()


def test_fewer_than_90_days_are_refused(old: Home):
    old.settings(days="89")
    done = old.loader("prune")
    assert done.returncode == 2
    (error,) = done.stderr.splitlines()
    assert "[retention] days must be at least 90, at most 36500, not 89" in error
    old.settings(days="1000000")
    done = old.loader("prune")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "[retention] days must be at least 90, at most 36500, not 1000000" in done.stderr


def test_what_is_removed_is_all_of_it_and_no_more(old: Home):
    probe, first, second, killed_run = runs(old)
    aged(old, ages(**{probe: 91, first: 91}))
    with duckdb.connect(str(old.database)) as connection:
        before = contents(connection, audit_tables(connection))
    found = pruned(old, now())
    with duckdb.connect(str(old.database)) as connection:
        after = contents(connection, audit_tables(connection))
    for kept in (second, killed_run):
        assert after[Subject("run", kept)] == before[Subject("run", kept)]
    assert found.rows() == {
        table: sum(before[Subject("run", run)].get(table, {"rows": 0})["rows"] for run in (probe, first))
        for table in found.rows()
    }
    assert all(table == "fct_pacing" for table in after.get(Subject("run", first), {}))
