"""What people read of the audit is the project's: a report or a function put in its place is named."""

import duckdb
import pytest

from loader.audit.definitions import changed_definitions
from tests.history import verified
from tests.support import Home

OTHER_DIGEST = """
    create or replace macro contract.payload_digest(relation_name) as table
    select 1 as payload_records, [''] as invocation_ids, '' as digest
"""
OTHER_KIND = "drop macro table contract.payload_digest; create macro contract.payload_digest(x) as x"
COLUMNS = "select column_name, data_type from duckdb_columns() where schema_name = 'audit' and table_name = ?"


def emptied(home: Home, view: str) -> str:
    """Return the statement that puts an empty view with the same columns in the place of this one."""
    columns = ", ".join(f'null::{kind} as "{name}"' for name, kind in home.query(COLUMNS, view))
    return f"create or replace view audit.{view} as select {columns} where false"


def test_each_report_that_is_replaced_by_an_empty_one_is_named(trail: Home):
    views = [name for (name,) in trail.query("select view_name from duckdb_views() where schema_name = 'audit'")]
    assert len(views) > 10
    for view in views:
        trail.query(emptied(trail, view))
    found = verified(trail)
    assert [problem.what.split(" is another than")[0] for problem in found] == [
        f"the view audit.{v}" for v in sorted(views)
    ]
    done = trail.loader("audit-verify")
    assert (done.returncode, "proven:" in done.stdout) == (1, False)
    assert trail.dbt("build", "--selector", "audit", "-q").returncode == 0
    assert verified(trail) == []


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("drop view audit.rpt_delivery_times", "the view audit.rpt_delivery_times is missing"),
        ("create view audit.rpt_mine as select 1 as one", "the view audit.rpt_mine was added"),
        ("create macro contract.more(x) as x", "the function contract.more was added"),
        (OTHER_DIGEST, "the function contract.payload_digest is another than"),
        (OTHER_KIND, "the function contract.payload_digest is another than"),
    ],
)
def test_what_is_missing_added_or_changed_is_named(trail: Home, statement: str, what: str):
    trail.query(statement)
    (found,) = verified(trail)
    assert found.what.startswith(what)
    assert "`dbt build --selector audit`" in found.what


def test_blanks_and_comments_make_no_difference(trail: Home):
    ((sql,),) = trail.query("select sql from duckdb_views() where view_name = 'rpt_readback'")
    trail.query(sql.replace("CREATE VIEW", "create or replace view").replace(" FROM ", " /* of no meaning */ FROM\n"))
    with duckdb.connect(str(trail.database)) as connection:
        assert list(changed_definitions(connection)) == []
