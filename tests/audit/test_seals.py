"""Tamper evidence: whatever is changed, added or removed behind the commands' back, `audit-verify` names it."""

import json

import duckdb
import pytest

from loader.audit.digests import SEALS, audit_tables
from loader.audit.seals import Anchor, write_anchor
from tests.history import sealed, verified
from tests.support import Home

LAST = "select number, subject_id, seal from audit.fct_seals order by number desc limit 1"
PROVEN = "proven: no audit row was changed, added or removed since it was sealed"


def test_every_run_probe_and_invocation_is_sealed_and_proven(trail: Home):
    done = trail.loader("audit-verify")
    assert (done.returncode, done.stderr, done.stdout.splitlines()[-1]) == (0, "", PROVEN)
    kinds = dict(trail.query("select kind, count(*) from audit.fct_seals group by kind"))
    runs = (
        "select count(distinct run_id) from (select run_id from audit.fct_run_events "
        "union all select run_id from audit.fct_probe_checks)"
    )
    assert kinds["run"] == trail.query(runs)[0][0] == 4
    assert kinds["invocation"] == trail.query("select count(*) from audit.fct_dbt_invocations")[0][0]
    with duckdb.connect(str(trail.database)) as connection:
        counts = " + ".join(f"(select count(*) from audit.{table.name})" for table in audit_tables(connection))  # noqa: S608
    assert trail.query("select sum(rows) from audit.fct_seals") == trail.query(f"select {counts}")


def test_every_audit_table_is_covered_and_a_later_one_too(trail: Home):
    with duckdb.connect(str(trail.database)) as connection:
        tables = audit_tables(connection)
        every = "select table_name from duckdb_tables() where schema_name = 'audit' order by all"
        assert {name for (name,) in connection.execute(every).fetchall()} == {SEALS} | {name for name, *_ in tables}
        assert [table.name for table in tables if table.id_column is None] == []
        connection.execute("create table audit.fct_later as select run_id, 1 as found from audit.fct_runs limit 1")
        connection.execute("create table audit.fct_stray as select 1 as found")
    later, stray = verified(trail)
    assert (later.table, later.sealed_rows, later.found_rows) == ("fct_later", 0, 1)
    assert "audit.fct_stray has none of the columns" in stray.what


def test_a_column_that_a_later_version_adds_changes_no_seal(trail: Home):
    trail.query("alter table audit.fct_runs add column later varchar")
    assert verified(trail) == []
    trail.query("update audit.fct_runs set later = '' where mode = 'dry-run'")
    assert [problem.table for problem in verified(trail)] == ["fct_runs"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update {} set result = 'exists' where record_number = 1", "5 rows as sealed, but not the same"),
        ("delete from {} where record_number = 2", "sealed 5 rows, found 4"),
        ("insert into {0} select * from {0} where record_number = 2", "sealed 5 rows, found 6"),
    ],
    ids=["flipped", "removed", "added"],
)
def test_a_changed_row_is_named_with_its_run_and_its_table(trail: Home, change: str, said: str):
    ((run,),) = trail.query("select run_id from audit.fct_runs where mode = 'import'")
    trail.query(change.format("audit.fct_import_records"))
    done = trail.loader("audit-verify", "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    (problem,) = document["problems"]
    assert document["proven"] is False
    assert (problem["table"], problem["subject"]) == ("fct_import_records", {"kind": "run", "id": run})
    assert problem["what"].endswith(said)


def test_rows_of_no_run_and_a_run_put_in_later_are_named(trail: Home):
    trail.query("insert into audit.fct_issues by name select 'x' as run_id")
    trail.query("insert into audit.fct_changes by name select null as run_id, 1 as record_number")
    made_up = (
        "insert into audit.fct_run_events by name select * replace ('20200101T000000Z-abcdef' as run_id, "
        "timestamp '2020-01-01' as event_time) from audit.fct_run_events where action = 'run_started' limit 1"
    )
    trail.query(made_up)
    found = {str(problem.subject): problem.what for problem in verified(trail)}
    assert found["run x"] == "rows of no known run, in fct_issues"
    assert found["run None"] == "rows of no known run, in fct_changes"
    assert "it has no seal, though it ended before" in found["run 20200101T000000Z-abcdef"]
    # The next run's seal takes in neither what belongs to nothing nor what is too old for it.
    sealed(trail)
    assert {str(problem.subject) for problem in verified(trail)} == set(found)


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
def test_a_changed_chain_is_named(trail: Home, change: str, said: str):
    trail.query(change)
    assert any(said in problem.what for problem in verified(trail)), [str(problem) for problem in verified(trail)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update audit.fct_seals set number = null where number > 1", "its row of audit.fct_seals was changed"),
        ("update audit.fct_seals set kind = null where number = 2", "its row of audit.fct_seals was changed"),
        ("alter table audit.fct_seals add column remark varchar default 'x'", "proven: "),
        ("insert into audit.fct_run_events by name select 'x' as run_id, 'y' as action", "it has no seal, though"),
        (
            "insert into audit.fct_run_events by name select 'y' as action, timestamp '2020-01-01' as event_time",
            "rows of no known run",
        ),
    ],
    ids=["no number", "no kind", "another column", "an event without a time", "an event of no run"],
)
def test_what_no_version_writes_is_no_traceback_and_stops_no_seal(trail: Home, change: str, said: str):
    trail.query(change)
    done = trail.loader("audit-verify")
    assert said in done.stdout.splitlines()[0 if "NOT" in done.stdout else -1], done
    assert done.stderr == ""
    if "fct_run_events" in change:
        sealed(trail)
        assert any(said in problem.what for problem in verified(trail))


def test_the_last_run_removed_with_its_seal_is_missed_by_the_note_and_by_a_seal_noted_elsewhere(trail: Home):
    ((number, run, seal),) = trail.query(LAST)
    before = trail.query("select number, seal from audit.fct_seals where number = ?", number - 1)[0]
    with duckdb.connect(str(trail.database)) as connection:
        for table in audit_tables(connection):
            if table.id_column == "run_id":
                connection.execute(f"delete from audit.{table.name} where run_id = ?", [run])  # noqa: S608
        connection.execute("delete from audit.fct_seals where number = ?", [number])
    (missing,) = verified(trail)
    assert missing.what.startswith(f"seals {number} to {number} are missing")
    # Who rewrites the note too leaves a chain that is whole: only what was noted elsewhere shows it.
    write_anchor(trail.database, Anchor(*before))
    assert trail.loader("audit-verify").returncode == 0
    done = trail.loader("audit-verify", "--expect", seal[:16])
    assert done.returncode == 1
    assert f"the expected seal {seal[:16]} is not on the chain" in done.stdout


def test_a_seal_from_a_summary_is_expected_on_the_chain(trail: Home):
    printed = json.loads(trail.loader("--validate-only", "--json").stdout)["seal"]
    done = trail.loader("audit-verify", "--expect", printed["seal"].upper())
    assert done.returncode == 0, done.stdout
    assert f"seal {printed['number']}, run " in done.stdout
    refused = trail.loader("audit-verify", "--expect", "12")
    assert refused.returncode == 2
    assert refused.stderr == "error: --expect takes a seal, 16 to 64 hexadecimal digits, not '12'\n"


def test_a_probe_is_sealed_once_all_its_rows_can_be_there(trail: Home):
    """It writes without the run lock: what a run seals in between must not be half of it."""
    assert trail.probe("staging").returncode == 0
    ((probe,),) = trail.query("select run_id from audit.fct_probe_checks order by checked_at desc limit 1")
    sealed(trail)
    assert trail.query("select count(*) from audit.fct_seals where subject_id = ?", probe) == [(0,)]
    assert verified(trail) == []
    trail.query("update audit.fct_probe_checks set checked_at = checked_at - interval 6 minute where run_id = ?", probe)
    sealed(trail)
    assert trail.query("select count(*) from audit.fct_seals where subject_id = ?", probe) == [(1,)]
