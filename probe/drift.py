"""Counts a difference in records: how many of the last `dbt build` it would lose or have refused, and which."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from loader.card import Card
from loader.config import ROOT
from loader.errors import DatabaseLocked, EtlError
from loader.run.payload import totals
from loader.storage.warehouse import Warehouse
from probe.finding import Finding, Hit, Kind

EXAMPLES = 3
# No text is so long; DuckDB takes no number of more than 128 bits.
_LONGEST = 1 << 62
_COUNT = """
    select count(*) as records, arg_min("{key}", record_number, {examples}) as examples
    from staging.{model} where parse_error is null and ({condition})
"""
_MACROS = ROOT / "dbt_project" / "macros"
_COUNTED_LENGTH = re.compile(r"\{% macro counted_length\(.*?endmacro -?%\}", re.DOTALL)
_ALL, _SENT = "true", "{text} is not null"
# Which records a breaking difference hits; the finding's value is the parameter where there is one.
_CONDITIONS = {
    Kind.FIELD_UNKNOWN: _SENT,
    Kind.FIELD_REQUIRED: "{text} is null",
    Kind.TYPE_CHANGED: _SENT,
    Kind.FORMAT_CHANGED: _SENT,
    Kind.ENUM_VALUE_LOST: "{text} = ?",
    Kind.LIMIT_LOWERED: "{length} > ?",
    Kind.MINIMUM_RAISED: "{length} < ?",
}


@dataclass(frozen=True)
class Build:
    """The last `dbt build`: its file, the records of its staging table, and how many of them are ready to be posted."""

    source: str
    records: int
    ready: int


def last_build(warehouse: Warehouse, card: Card) -> Build:
    """Return what the last `dbt build` built; EtlError where there is none, or the database cannot be read."""
    built = totals(warehouse, card.entity)
    (staged,) = warehouse.rows(f"select count(*) as records from staging.{_model(card)} where parse_error is null")  # noqa: S608
    return Build(Path(built.source_file).name, staged["records"], built.ready_records)


def counted(warehouse: Warehouse, card: Card, build: Build, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings, the breaking ones with the records of the build that they hit, where that can be told.

    A database that somebody holds meanwhile is waited for once, not for each finding.
    """
    query = "select column_name from duckdb_columns() where schema_name = 'staging' and table_name = ?"
    try:
        held = {row["column_name"] for row in warehouse.rows(query, [_model(card)])}
        return [
            replace(finding, hit=_hit(warehouse, card, build, finding, held)) if finding.is_breaking else finding
            for finding in findings
        ]
    except EtlError:
        return list(findings)


def _hit(warehouse: Warehouse, card: Card, build: Build, finding: Finding, held: set[str]) -> Hit | None:
    field = next((field for field in card.fields if field.name == finding.field), None)
    condition, parameters = _CONDITIONS.get(finding.kind), [] if finding.value is None else [finding.value]
    if field is None and finding.kind is Kind.FIELD_REQUIRED:
        condition = _ALL
    if condition is None or card.key not in held or (field is not None and field.name not in held):
        return None
    if field is not None:
        if finding.kind is Kind.FORMAT_CHANGED and finding.value == field.format:
            # Theirs is the day alone: what is longer has a time too.
            condition, parameters = "length({text}) > ?", [len("2026-01-15")]
        # The length is the one that the API counts.
        column = f'"{field.name}"'
        condition = condition.format(text=column, length=_counted_length()(column, field.counts))
    parameters = [min(value, _LONGEST) if isinstance(value, int) else value for value in parameters]
    parameters = parameters if "?" in condition else []
    if condition.count("?") != len(parameters):
        return None
    query = _COUNT.format(key=card.key, model=_model(card), condition=condition, examples=EXAMPLES)
    try:
        (found,) = warehouse.rows(query, parameters)
    except DatabaseLocked:
        raise
    except EtlError:
        return None
    examples = tuple(str(name) for name in found["examples"] or () if name is not None)
    return Hit(found["records"], build.records, examples)


@cache
def _counted_length() -> Any:
    """Return the macro that validation counts with, so that both always say the same."""
    macros = (path.read_text(encoding="utf-8") for path in sorted(_MACROS.rglob("*.sql")))
    (macro,) = filter(None, map(_COUNTED_LENGTH.search, macros))
    # Loaded here: most commands count no records, and start without it.
    environment = import_module("jinja2").Environment()
    return getattr(environment.from_string(macro[0]).module, "counted_length")  # noqa: B009 - its SQL


def _model(card: Card) -> str:
    return f"stg_{card.entity}"
