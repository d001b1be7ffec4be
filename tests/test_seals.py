"""Tamper evidence: whatever is changed, added or removed behind the commands' back, `audit-verify` names it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from loader.anchor import Anchor, anchor_path, read_anchor, write_anchor
from loader.subjects import SEALS, audit_tables
from sandbox.process import running_sandbox
from tests.forked import killed
from tests.history import copied, sealed, verified
from tests.support import ROOT, Home, new_home

# Seals one more run while its log is not yet written into the database, notes it, and dies.
DIES = """
import os, signal, sys
from pathlib import Path
import duckdb
from loader.anchor import Anchor, write_anchor
from loader.seals import seal_finished
connection = duckdb.connect(sys.argv[1])
connection.execute("pragma disable_checkpoint_on_shutdown")
connection.execute("begin")
connection.execute(
    "insert into audit.fct_run_events by name select * replace ('20990101T000000Z-000000' as run_id, "
    "timestamp '2099-01-01' as event_time) from audit.fct_run_events where action = 'run_started' limit 1"
)
seal = seal_finished(connection)
connection.execute("commit")
write_anchor(Path(sys.argv[1]), Anchor(seal.number, seal.seal))
os.kill(os.getpid(), signal.SIGKILL)
"""
LAST = "select number, subject_id, seal from audit.fct_seals order by number desc limit 1"
PROVEN = "proven: no audit row was changed, added or removed since it was sealed"


@pytest.fixture(scope="module")
def history(workplace: Path, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Return a home after a probe, an import, a refused run and a dry-run, whose sandbox is still running."""
    database = tmp_path_factory.mktemp("seals") / "sandbox.sqlite"
    with running_sandbox(database, "--environment", "staging") as sandbox:
        variables = {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token()}
        home = new_home(workplace / "seals_history", built, **variables)
        assert home.probe("staging").returncode == 0
        assert home.loader("--import", "--verify").returncode == 0
        assert home.loader("--import", QGP_API_TOKEN="refused").returncode == 3  # noqa: S106
        assert home.loader("--dry-run").returncode == 0
        yield home


@pytest.fixture
def copy(history: Home, workplace: Path, request: pytest.FixtureRequest) -> Home:
    """Return a copy of that home."""
    return copied(history, workplace / f"seals_{request.node.name}".replace("[", "_")[:90])


def test_every_run_probe_and_invocation_is_sealed_and_proven(copy: Home):
    done = copy.loader("audit-verify")
    assert (done.returncode, done.stderr, done.stdout.splitlines()[-1]) == (0, "", PROVEN)
    kinds = dict(copy.query("select kind, count(*) from audit.fct_seals group by kind"))
    runs = (
        "select count(distinct run_id) from (select run_id from audit.fct_run_events "
        "union all select run_id from audit.fct_probe_checks)"
    )
    assert kinds["run"] == copy.query(runs)[0][0] == 4
    assert kinds["invocation"] == copy.query("select count(*) from audit.fct_dbt_invocations")[0][0]
    with duckdb.connect(str(copy.database)) as connection:
        counts = " + ".join(f"(select count(*) from audit.{table.name})" for table in audit_tables(connection))  # noqa: S608
    assert copy.query("select sum(rows) from audit.fct_seals") == copy.query(f"select {counts}")


def test_every_audit_table_is_covered_and_a_later_one_too(copy: Home):
    with duckdb.connect(str(copy.database)) as connection:
        tables = audit_tables(connection)
        every = "select table_name from duckdb_tables() where schema_name = 'audit' order by all"
        assert {name for (name,) in connection.execute(every).fetchall()} == {SEALS} | {name for name, *_ in tables}
        assert [table.name for table in tables if table.id_column is None] == []
        connection.execute("create table audit.fct_later as select run_id, 1 as found from audit.fct_runs limit 1")
        connection.execute("create table audit.fct_stray as select 1 as found")
    later, stray = verified(copy)
    assert (later.table, later.sealed_rows, later.found_rows) == ("fct_later", 0, 1)
    assert "audit.fct_stray has none of the columns" in stray.what


def test_a_column_that_a_later_version_adds_changes_no_seal(copy: Home):
    copy.query("alter table audit.fct_runs add column later varchar")
    assert verified(copy) == []
    copy.query("update audit.fct_runs set later = '' where mode = 'dry-run'")
    assert [problem.table for problem in verified(copy)] == ["fct_runs"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update {} set result = 'exists' where record_number = 1", "5 rows as sealed, but not the same"),
        ("delete from {} where record_number = 2", "sealed 5 rows, found 4"),
        ("insert into {0} select * from {0} where record_number = 2", "sealed 5 rows, found 6"),
    ],
    ids=["flipped", "removed", "added"],
)
def test_a_changed_row_is_named_with_its_run_and_its_table(copy: Home, change: str, said: str):
    ((run,),) = copy.query("select run_id from audit.fct_runs where mode = 'import'")
    copy.query(change.format("audit.fct_import_records"))
    done = copy.loader("audit-verify", "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    (problem,) = document["problems"]
    assert document["proven"] is False
    assert (problem["table"], problem["subject"]) == ("fct_import_records", {"kind": "run", "id": run})
    assert problem["what"].endswith(said)


def test_rows_of_no_run_and_a_run_put_in_later_are_named(copy: Home):
    copy.query("insert into audit.fct_issues by name select 'x' as run_id")
    copy.query("insert into audit.fct_changes by name select null as run_id, 1 as record_number")
    made_up = (
        "insert into audit.fct_run_events by name select * replace ('20200101T000000Z-abcdef' as run_id, "
        "timestamp '2020-01-01' as event_time) from audit.fct_run_events where action = 'run_started' limit 1"
    )
    copy.query(made_up)
    found = {str(problem.subject): problem.what for problem in verified(copy)}
    assert found["run x"] == "rows of no known run, in fct_issues"
    assert found["run None"] == "rows of no known run, in fct_changes"
    assert "it has no seal, though it ended before" in found["run 20200101T000000Z-abcdef"]
    # The next run's seal does not take in what belongs to nothing.
    sealed(copy)
    assert {str(problem.subject) for problem in verified(copy)} == {"run x", "run None"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("delete from audit.fct_seals where number = 2", "seals 2 to 2 are missing before it"),
        ("update audit.fct_seals set rows = rows + 1 where number = 2", "its row of audit.fct_seals was changed"),
        ("update audit.fct_seals set content = null where number = 1", "its row of audit.fct_seals was changed"),
        ("insert into audit.fct_seals select * from audit.fct_seals where number = 2", "its number stands twice"),
        ("delete from audit.fct_seals", "are missing, with the rows that they seal"),
    ],
    ids=["removed", "changed", "emptied", "added", "all removed"],
)
def test_a_changed_chain_is_named(copy: Home, change: str, said: str):
    copy.query(change)
    assert any(said in problem.what for problem in verified(copy)), [str(problem) for problem in verified(copy)]


def test_the_last_run_removed_with_its_seal_is_missed_by_the_note_and_by_a_seal_noted_elsewhere(copy: Home):
    ((number, run, seal),) = copy.query(LAST)
    before = copy.query("select number, seal from audit.fct_seals where number = ?", number - 1)[0]
    with duckdb.connect(str(copy.database)) as connection:
        for table in audit_tables(connection):
            if table.id_column == "run_id":
                connection.execute(f"delete from audit.{table.name} where run_id = ?", [run])  # noqa: S608
        connection.execute("delete from audit.fct_seals where number = ?", [number])
    (missing,) = verified(copy)
    assert missing.what.startswith(f"seals {number} to {number} are missing")
    # Who rewrites the note too leaves a chain that is whole: only what was noted elsewhere shows it.
    write_anchor(copy.database, Anchor(*before))
    assert copy.loader("audit-verify").returncode == 0
    done = copy.loader("audit-verify", "--expect", seal[:16])
    assert done.returncode == 1
    assert f"the expected seal {seal[:16]} is not on the chain" in done.stdout


def test_a_seal_from_a_summary_is_expected_on_the_chain(copy: Home):
    printed = json.loads(copy.loader("--validate-only", "--json").stdout)["seal"]
    done = copy.loader("audit-verify", "--expect", printed["seal"].upper())
    assert done.returncode == 0, done.stdout
    assert f"seal {printed['number']}, run " in done.stdout
    refused = copy.loader("audit-verify", "--expect", "12")
    assert refused.returncode == 2
    assert refused.stderr == "error: --expect takes a seal, 16 to 64 hexadecimal digits, not '12'\n"


def test_an_old_copy_put_back_is_found_and_the_next_run_does_not_hide_it(copy: Home):
    old = copy.folder / "old.duckdb"
    shutil.copy(copy.database, old)
    ((number, *_),) = copy.query(LAST)
    assert copy.loader("--validate-only").returncode == 0
    shutil.copy(old, copy.database)
    noted = read_anchor(copy.database)
    assert verified(copy)[0].what.startswith(f"seals {number + 1} to {number + 1} are missing")
    done = copy.loader("--validate-only")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert "lacks the seal noted beside it" in done.stderr
    assert read_anchor(copy.database) == noted
    assert verified(copy)[0].what == f"seal {number + 1} is not the one that was noted beside the database"


def test_a_lost_note_is_named_and_written_by_the_next_run(copy: Home):
    anchor_path(copy.database).write_text("{}")
    assert "is not the one that was noted" in verified(copy)[0].what
    anchor_path(copy.database).unlink()
    assert "the file that notes the last seal is missing" in verified(copy)[0].what
    sealed(copy)
    assert verified(copy) == []


@pytest.mark.parametrize("cut", ["half of it", "all of it", "nothing"])
def test_a_log_that_was_cut_is_found(copy: Home, cut: str):
    ((number, *_),) = copy.query(LAST)
    subprocess.run([sys.executable, "-c", DIES, str(copy.database)], cwd=ROOT, check=False)
    log = copy.database.with_name("etl.duckdb.wal")
    size = log.stat().st_size
    if cut == "half of it":
        with log.open("r+b") as file:
            file.truncate(size // 2)
    elif cut == "all of it":
        log.unlink()
    done = copy.loader("audit-verify")
    assert "Traceback" not in done.stderr
    if cut == "nothing":
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        assert done.returncode == 1
        assert f"NOT PROVEN seals {number + 1} to {number + 1} are missing" in done.stdout


def test_a_damaged_database_is_one_line(copy: Home):
    with copy.database.open("r+b") as file:
        file.truncate(copy.database.stat().st_size // 2)
    done = copy.loader("audit-verify")
    assert done.returncode == 2
    (error,) = done.stderr.splitlines()
    assert error.startswith(f"error: {copy.database}: is damaged (")


def test_a_kill_before_the_seal_leaves_what_the_next_run_seals(copy: Home):
    ((number, *_),) = copy.query(LAST)
    killed(copy, "before:seal", "--environment", "staging")
    waiting = copy.loader("audit-verify")
    assert waiting.returncode == 0, waiting.stdout
    assert "not sealed yet, the next run does it: 1 run" in waiting.stdout
    killed(copy, "after:commit_intents", "--environment", "staging")
    unfinished = copy.loader("audit-verify")
    assert unfinished.returncode == 0, unfinished.stdout
    assert "unfinished, the next import closes and seals it: 1 run" in unfinished.stdout
    assert copy.loader("--import").returncode == 0
    assert copy.query(LAST)[0][0] == number + 3
    assert verified(copy) == []


def test_a_kill_between_the_seal_and_its_note_is_nothing(copy: Home):
    noted = read_anchor(copy.database)
    copy.query("insert into audit.fct_probe_checks by name select 'p' as run_id, timestamp '2099-01-01' as checked_at")
    sealed(copy)
    assert noted is not None
    write_anchor(copy.database, noted)
    assert verified(copy) == []


def test_a_database_without_seals_proves_nothing(copy: Home):
    copy.query("delete from audit.fct_seals")
    anchor_path(copy.database).unlink()
    done = copy.loader("audit-verify")
    assert done.returncode == 1
    assert done.stdout.startswith("NOT PROVEN nothing is sealed yet: the next run seals what is there\n")
    copy.query("drop table audit.fct_seals")
    older = copy.loader("audit-verify")
    assert (older.returncode, older.stderr.splitlines()[-1].split(": ", 2)[-1]) == (
        2,
        "a table is missing; run: dbt build",
    )
    run = copy.loader("--validate-only")
    assert run.returncode == 0
    assert "this run is not sealed, the next one seals it: " in run.stderr
