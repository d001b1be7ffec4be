"""The order of runs is data: rows that somebody has put in another order change no report and no next run."""

from typing import Any

from loader.audit.runs import find_run, read_runs
from loader.storage.warehouse import Warehouse
from tests.history import verified
from tests.support import Home

TABLES = "select table_name from duckdb_tables() where schema_name = 'audit'"
REPORTS = "select view_name from duckdb_views() where schema_name = 'audit' and view_name like 'rpt%'"


def told(home: Home) -> dict[str, Any]:
    """Return what reports and commands say."""
    reports = {name: home.query(f"select * from audit.{name} order by all") for (name,) in home.query(REPORTS)}  # noqa: S608
    warehouse = Warehouse(home.database, 1, print)
    with warehouse.connection(read_only=True) as connection:
        runs = list(read_runs(connection))
    return {"reports": reports, "runs": runs, "last": find_run(warehouse, "last").run_id, "problems": verified(home)}


def test_rows_in_another_order_change_nothing(trail: Home):
    before = told(trail)
    assert len(before["runs"]) >= 3
    for number in range(3):
        for (table,) in trail.query(TABLES):
            shuffled = f"select * from audit.{table} order by md5(concat({table}::varchar, {number}))"  # noqa: S608
            trail.query(f"create or replace table audit.{table} as {shuffled}")
        assert told(trail) == before
