"""A file landed, judged and exported without dbt, so that a property test can do it hundreds of times."""

import csv
import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

from loader.audit.journal import RunRow
from loader.card import Card, Field
from loader.landing.land import land
from loader.landing.sql import FORMULA
from loader.reports.records import export_records
from loader.storage.warehouse import Warehouse
from tests.support import CARD

Table = list[list[str]]


class Export(NamedTuple):
    """The two files; the header and the records as they were landed; the numbers of those that are not valid."""

    accepted: Path
    rejected: Path
    table: Table
    refused: set[int]


def card_of(*columns: str) -> Card:
    fields = tuple(Field(name, name, False, at == 0, None, None, None) for at, name in enumerate(columns))
    return replace(CARD, fields=fields)


def exported(
    source: Path, card: Card, folder: Path, every: int = 2, *, shuffled: bool = False, **options: Any
) -> Export:
    """Land a file, judge every second record (or each `every`-th) invalid, and export it."""
    database = folder / "export.duckdb"
    with duckdb.connect(str(database)) as session:
        session.execute("create schema landing; create schema validation")
        rows = landed(session, source, card, "landing.raw_incident")
        if shuffled:
            session.execute("create table landing.other as from landing.raw_incident order by hash(record_number)")
            session.execute("drop table landing.raw_incident; alter table landing.other rename to raw_incident")
        session.execute(
            "create table validation.int_incident_records as select record_number, case when parse_error is "
            "not null then 'parse_error' when record_number % ? = 0 then 'invalid' else 'valid' end as status, "
            "null as exception_reason "
            "from landing.raw_incident",
            [every],
        )
        session.execute(
            "create table validation.int_incident_issues as select record_number, unnest(["
            "{severity: 'warning', code: 'a_warning', field: null, message: 'odd', how_to_fix: 'later', "
            "suggestion: null}, "
            "{severity: 'error', code: 'z_error', field: 'f', message: '=wrong', how_to_fix: 'now', suggestion: '-x'}"
            "], recursive := true) from landing.raw_incident"
        )
        session.execute(
            "create table validation.int_incident_totals as select 'built' as invocation_id, "
            "from_json(source_columns, '[\"VARCHAR\"]') as source_columns, "
            "source_records, renamed_columns::json::map(varchar, varchar) as renamed_columns "
            "from landing.raw_incident limit 1"
        )
        (ready,) = session.execute(
            "select count(*) from validation.int_incident_records where status = 'valid'"
        ).fetchone() or (0,)
    row: dict[str, Any] = dict.fromkeys(column.name for column in fields(RunRow))
    row |= {"run_id": "R", "entity_type": "incident", "invocation_id": options.pop("invocation_id", "built")}
    row |= {"source_sha256": rows[0]["source_sha256"], "total_records": len(rows), "ready_records": ready}
    files = export_records(Warehouse(database, 1, print), RunRow(**row), card, folder / "out", **options)
    refused = {at for at, row in enumerate(rows, 1) if row["parse_error"] or at % every == 0}
    return Export(files[0].path, files[1].path, table_of(rows, card), refused)


def landed(
    session: duckdb.DuckDBPyConnection, source: Path, card: Card, table: str = "raw_incident"
) -> list[dict[str, Any]]:
    """Land a file into a new table; return its rows in the order of the file."""
    listed = ", ".join(f"('incident', '{field.source_column}', false, {at})" for at, field in enumerate(card.fields))
    names = "card (entity, source_column, is_required, field_position)"
    fields = f"select *, field_position = 0 as is_key from (values {listed}) as {names}"  # noqa: S608
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETL_SOURCE", str(source))
        patch.setenv("ETL_ENTITY", "incident")
        land(session, session.sql(fields), "raw_incident").create(table)
    relation = session.table(table)
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.order("record_number").fetchall()]


def table_of(rows: list[dict[str, Any]], card: Card) -> Table:
    """Return the header and the cells of the file; a malformed record is its text and blank cells."""
    columns, known = json.loads(rows[0]["source_columns"]), [field.source_column for field in card.fields]
    table = [columns]
    for row in rows:
        others = dict(zip(sorted(set(columns) - set(known)), row["other_cells"] or [], strict=False))
        malformed = [row["raw_record"], *[""] * (len(columns) - 1)]
        table.append(
            malformed if row["parse_error"] else [(row if name in known else others)[name] for name in columns]
        )
    return table


def read(path: Path) -> Table:
    """Return the rows as Python's strict reader sees them, each neutralised cell as it was."""
    with path.open(encoding="utf-8", newline="") as file:
        return [[undone(cell) for cell in row] for row in csv.reader(file, strict=True)]


def undone(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and re.match(FORMULA, cell) else cell
