"""Compares the views and functions of `audit` and `contract` with the project's text: what people read of the audit."""

import re
from collections.abc import Iterator
from typing import Any

from loader.config import ROOT
from loader.storage.warehouse import ATTACHED

_REPORTS = ROOT / "dbt_project" / "models" / "audit" / "reports"
_MACROS = ROOT / "dbt_project" / "macros" / "results.sql"
# The one expression that a report's text has beside its SQL, and the one function, with its parameter.
_REF = re.compile(r"\{\{ ref\('(\w+)'\) \}\}")
_FUNCTION = re.compile(r"macro contract\.(\w+)\((\w+)\) as table(.+?)\{%- endmacro %\}", re.DOTALL)
_DEFINED = """
    with read_from as (
        select coalesce(any_value(database_name), current_database()) as name from duckdb_databases()
        where database_name = $attached
    )
    select 'the view ' || schema_name || '.' || view_name as name, sql as text from duckdb_views()
    where database_name = (from read_from) and not internal and schema_name in ('audit', 'contract')
    union all
    select 'the function ' || schema_name || '.' || function_name,
        concat(function_type, '(', list_aggregate(parameters, 'string_agg', ', '), ') AS ', macro_definition)
    from duckdb_functions()
    where database_name = (from read_from) and not internal and schema_name in ('audit', 'contract')
"""
# Written in an order of no meaning.
_EXCLUDED = re.compile(r"(?<=EXCLUDE \()[^)]+")
# DuckDB's own reading of a statement: blanks, comments and brackets make no difference.
_READ = "select json_deserialize_sql(json_serialize_sql(?))"


def changed_definitions(connection: Any) -> Iterator[str]:
    """Yield what is wrong with a view or function of the database that is read; nothing where all are the project's."""
    found = dict(connection.execute(_DEFINED, {"attached": ATTACHED}).fetchall())
    wanted = _of_the_project()
    for name in sorted(found | wanted):
        if name not in found:
            yield f"{name} is missing"
        elif name not in wanted:
            yield f"{name} was added: it is none of this project's"
        elif not _are_the_same(connection, found[name], wanted[name]):
            yield f"{name} is another than the one of this version of the project"


def _of_the_project() -> dict[str, str]:
    """Return the text of each view and function, after what DuckDB writes before it."""
    queries = {f"audit.{path.stem}": _REF.sub(r"audit.\1", path.read_text("utf-8")) for path in _REPORTS.rglob("*.sql")}
    views = {f"the view {name}": f"CREATE VIEW {name} AS {query}" for name, query in queries.items()}
    functions = {
        f"the function contract.{name}": f"table_macro({parameter}) AS {text}"
        for name, parameter, text in _FUNCTION.findall(_MACROS.read_text("utf-8"))
    }
    return views | functions


def _are_the_same(connection: Any, one: str, other: str) -> bool:
    """Compare what stands before the query, which another kind of function has none of, and then the query."""
    (before, _, query), (other_before, _, other_query) = one.partition(" AS "), other.partition(" AS ")
    return before == other_before and _read(connection, query) == _read(connection, other_query)


def _read(connection: Any, query: str) -> str:
    """Return a query as DuckDB reads it."""
    text = connection.execute(_READ, [query]).fetchone()[0]
    return _EXCLUDED.sub(lambda names: ", ".join(sorted(names[0].split(", "))), text)
