"""An audit trail to tamper with: a few runs of every kind, sealed, in a copy of its own for each test."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import duckdb

from loader.anchor import anchor_path, read_anchor
from loader.seals import seal_audit
from loader.trail.proof import Problem, problems, read_trail
from loader.warehouse import Warehouse
from tests.support import Home

TIMES = ("DATE", "TIMESTAMP")


def copied(home: Home, folder: Path) -> Home:
    """Return a home with a copy of another one's database and its note; output files stay where they are."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copy = Home(folder, dict(home.environment))
    copy.settings()
    for path in (home.database, anchor_path(home.database)):
        if path.exists():
            shutil.copy(path, folder / path.name)
    return copy


def found_problems(connection: Any, database: Path) -> list[Problem]:
    """Return what is not as it was sealed, as `audit-verify` finds it, on an open connection."""
    return list(problems(read_trail(lambda: nullcontext(connection), read_anchor(database), lambda _rows: None)))


def verified(home: Home) -> list[Problem]:
    with duckdb.connect(str(home.database), read_only=True) as connection:
        return found_problems(connection, home.database)


def sealed(home: Home) -> None:
    seal_audit(Warehouse(home.database, 1, print), print)


def audit_columns(connection: Any) -> list[tuple[str, str, str]]:
    """Return table, column and type of every column of the audit tables that have rows."""
    found = connection.execute(
        "select table_name, column_name, data_type from duckdb_columns() "
        "where schema_name = 'audit' and table_name like 'fct%' order by all"
    ).fetchall()
    held = {table for table in {table for table, *_ in found} if _count(connection, table)}
    return [entry for entry in found if entry[0] in held]


def aged(home: Home, days: Callable[[str], int]) -> None:
    """Let every run and invocation have happened so many days earlier, and seal them anew as if they had."""
    anchor_path(home.database).unlink(missing_ok=True)
    with duckdb.connect(str(home.database)) as connection:
        connection.execute("delete from audit.fct_seals")
        columns = audit_columns(connection)
        for table in sorted({table for table, *_ in columns}):
            names = {name for of, name, _ in columns if of == table}
            key = next(name for name in ("run_id", "invocation_id", "receipt_id") if name in names)
            for (subject,) in connection.execute(f"select distinct {key} from audit.{table}").fetchall():  # noqa: S608
                moved = [
                    f"{name} = {name} - interval {days(subject)} day"
                    for of, name, kind in columns
                    if of == table and kind in TIMES
                ]
                if moved:
                    connection.execute(f"update audit.{table} set {', '.join(moved)} where {key} = ?", [subject])  # noqa: S608
    sealed(home)


def _count(connection: Any, table: str) -> int:
    found = connection.execute(f"select count(*) from audit.{table}").fetchall()  # noqa: S608
    return int(found[0][0])
