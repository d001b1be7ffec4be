"""Reads an audit trail in which no function means what its own file says it does.

DuckDB takes a macro in the schema `main` of the database in use for its own function of that name, `sha256` or `||` for
instance: rows that were changed would then hash as they were sealed. So the file is attached to a database in memory,
and that one is in use; its views show the tables.
"""

from pathlib import Path
from typing import Any

ATTACHED = "attached_file"
_TABLES = "select table_name from duckdb_tables() where database_name = ? and schema_name = 'audit'"
_SHADOWING = """
    select distinct function_name from duckdb_functions()
    where database_name = ? and schema_name = 'main' and not internal
        and function_name in (select function_name from duckdb_functions() where internal)
    order by all
"""


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def attached(connection: Any, path: Path) -> Any:
    """Attach a DuckDB file, for reading alone, to a database in memory, and show the tables of its schema `audit`."""
    connection.execute(f"set temp_directory = {literal(f'{path}.tmp')}")
    connection.execute(f"attach {literal(str(path))} as {ATTACHED} (read_only)")
    connection.execute("create schema audit")
    for (table,) in connection.execute(_TABLES, [ATTACHED]).fetchall():
        name = quoted(table)
        connection.execute(f"create view audit.{name} as select *, rowid from {ATTACHED}.audit.{name}")  # noqa: S608
    return connection


def shadowing(connection: Any) -> list[str]:
    """Return the functions of the attached file that are named as one of DuckDB's own."""
    return [name for (name,) in connection.execute(_SHADOWING, [ATTACHED]).fetchall()]
