"""The audit tables of a database that an earlier version has left: completed by the next build, and nothing lost."""

from pathlib import Path

from tests.support import new_home

COLUMNS = "select table_name, column_name, data_type from information_schema.columns where table_schema = 'audit'"
VIEWS = "select view_name, replace(sql, 'etl.', '') from duckdb_views() where schema_name = 'audit' order by all"
KEPT = "select invocation_id, command, started_at from audit.fct_dbt_invocations order by started_at"


def test_a_build_adds_what_an_older_database_lacks_and_keeps_its_rows(workplace: Path, built: Path):
    home = new_home(workplace / "older", built)
    complete, kept, of_dbt = home.query(COLUMNS), home.query(KEPT), home.query(VIEWS)
    home.query("alter table audit.fct_dbt_invocations drop column nodes")
    home.query("alter table audit.fct_runs drop column mode")
    home.query("drop table audit.fct_receipts")
    home.query("drop view audit.rpt_run_ledger")
    assert kept
    assert len(home.query(COLUMNS)) < len(complete) - 3
    done = home.dbt("build", "--select", "dim_entities")
    assert done.returncode == 0, done.stdout
    assert sorted(home.query(COLUMNS)) == sorted(complete)
    assert home.query(KEPT)[: len(kept)] == kept
    assert home.query(VIEWS) == of_dbt, "the hook's views are those that dbt makes of the models"
    assert home.query("select nodes is null from audit.fct_dbt_invocations order by started_at") == [
        *[(True,)] * len(kept),
        (False,),
    ]
