"""Tamper evidence against who knows the database well: functions, names, runs and seals that no run of ours writes."""

from dataclasses import replace

import duckdb
import pytest

from loader.audit.digests import subjects
from loader.audit.seals import anchor_path, chain, is_late
from tests.forked import killed
from tests.history import sealed, verified
from tests.support import Home

MADE_UP = """
    insert into audit.fct_run_events by name select 'made-up' as run_id, entity_type, action, '{}' as details,
        timestamp '2020-01-01' as event_time from audit.fct_run_events where action = 'posting_started' limit 1
"""
ENDED = """
    insert into audit.fct_runs by name
    select * replace ('made-up' as run_id, null as exit_code) from audit.fct_runs where mode = 'import' limit 1
"""


@pytest.mark.parametrize("function", ["sha256(x)", "strlen(x)", '"||"(x, y)', "duckdb_tables()"])
def test_a_function_of_the_file_neither_hides_a_change_nor_goes_unseen(trail: Home, function: str):
    """DuckDB calls it in place of its own wherever the file is the database in use."""
    trail.query("update audit.fct_runs set environment = 'production' where mode = 'import'")
    name = function.partition("(")[0].strip('"')
    body = "table select * from system.main.duckdb_tables() where false" if "tables" in name else "'0'"
    trail.query(f"create macro {function} as {body}")
    changed, added = verified(trail)
    assert changed.what == "fct_runs: 1 rows as sealed, but not the same"
    assert f"the function main.{name} was added" in added.what
    done = trail.loader("prune", "--yes")
    assert (done.returncode, f"the function main.{name} was added" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["a b", "a'b", 'a"b'])
def test_a_name_that_sql_has_to_quote_is_a_name(trail: Home, name: str):
    """An identifier of the catalogue may hold anything."""
    quoted = name.replace('"', '""')
    trail.query(f'alter table audit.fct_runs add column "{quoted}" int')
    trail.query(f'create table audit."fct_{quoted}" as select run_id, 1 as found from audit.fct_runs limit 1')  # noqa: S608
    (added,) = verified(trail)
    assert (added.table, added.found_rows) == (f"fct_{name}", 1)


def test_a_note_or_a_seal_of_another_form_is_no_traceback(trail: Home):
    anchor_path(trail.database).write_text('{"number": 1e999, "seal": ""}')
    assert "is not the one that was noted" in trail.loader("audit-verify").stdout
    ((forged,),) = trail.query("select max(number) from audit.fct_seals")
    for content in ("[1]", "5", '{"fct_runs": 1}'):
        with duckdb.connect(str(trail.database)) as connection:
            seal = replace(chain(connection)[-1], content=content)
            row = [content, seal.computed(), forged]
            connection.execute("update audit.fct_seals set content = ?, seal = ? where number = ?", row)
        done = trail.loader("audit-verify")
        assert (done.returncode, done.stderr) == (1, "")
        assert "sealed 0 rows, found" in done.stdout


def test_a_view_in_place_of_the_seals_is_one_line(trail: Home):
    trail.query("alter table audit.fct_seals rename to seals")
    trail.query("create view audit.fct_seals as select * from audit.seals")
    done = trail.loader("audit-verify")
    assert done.returncode != 0
    assert "a table is missing; run: dbt build" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_run_put_in_as_if_another_had_closed_it_is_named_and_never_sealed(trail: Home):
    trail.query(MADE_UP)
    trail.query(ENDED)
    for _ in range(2):
        assert ["it has no seal" in problem.what for problem in verified(trail)] == [True]
        done = trail.loader("--validate-only")
        assert (done.returncode, "run made-up has no seal, though" in done.stderr) == (0, True)


def test_a_run_put_in_as_if_it_stood_open_is_named_and_closed_by_no_import(trail: Home):
    trail.query(MADE_UP)
    sealed(trail)
    assert ["it has no seal" in problem.what for problem in verified(trail)] == [True]
    done = trail.loader("--import")
    assert done.returncode == 2, done
    assert "the event posting_started of run made-up is not one that a run writes" in done.stderr
    # As if an import had closed it all the same.
    trail.query(ENDED)
    trail.query(
        "insert into audit.fct_run_events by name select * replace ('unfinished_run_closed' as action, "
        """'{"unfinished_run_id": "made-up"}' as details) from audit.fct_run_events order by event_time desc limit 1"""
    )
    sealed(trail)
    assert "run made-up" in {str(problem.subject) for problem in verified(trail)}


def test_a_run_that_stands_open_among_sealed_ones_is_sealed_when_it_is_closed(trail: Home):
    killed(trail, "before:commit_outcomes", "--environment", "staging")
    assert trail.loader("--validate-only").returncode == 0
    ((dead,),) = trail.query("select subject_id from audit.fct_seals where kind = 'open run'")
    shift = "update audit.fct_seals set sealed_at = sealed_at + interval 1 hour"
    assert trail.query(shift) is not None
    with duckdb.connect(str(trail.database)) as connection:
        last = chain(connection)[-1]
        assert is_late(subjects(connection)["run", dead], last, known_open=False)
        assert not is_late(subjects(connection)["run", dead], last, known_open=True)
    trail.query(shift.replace("+", "-"))
    assert verified(trail) == []
    assert trail.loader("--import").returncode == 0
    assert trail.query("select count(*) from audit.fct_seals where subject_id = ? and kind = 'run'", dead) == [(1,)]
    assert verified(trail) == []
