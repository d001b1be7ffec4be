"""What a rehearsal has left behind, read from its folder: the file, the audit tables, the server's records and log."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from loader.card import read_card
from rehearsal.server import read_sqlite
from sandbox.auth import DEFAULT_TENANT
from sandbox.entity import ENTITIES
from sandbox.schema import Schema

Row = dict[str, Any]
ENTITY = "incident"
_SCHEMA = Schema(ENTITIES[ENTITY])


@dataclass(frozen=True)
class Evidence:
    """References of the file; bodies as they were to be sent, sanitised; rows of the server, its log and `audit`."""

    references: list[str]
    bodies: dict[str, Row]
    stored: list[Row]
    posts: list[Row]
    runs: list[Row]
    fates: list[Row]
    opened: set[str]
    leaks: list[str]
    tracebacks: list[str]


def read_evidence(folder: Path, token: str) -> Evidence:
    """Read everything; nothing is changed."""
    card, database, server = read_card(ENTITY), folder / "etl.duckdb", folder / "sandbox.sqlite"
    columns = ", ".join(f'"{field.name}"' for field in card.fields)
    sent = _rows(database, f"payload.{card.payload_model}", columns)
    runs = _rows(database, "audit.fct_runs", "*", "where mode = 'import' and address is not null order by start_time")
    fates = _rows(database, "audit.fct_import_records", "run_id, reference_number, result")
    opened = _rows(database, "audit.fct_run_events", "distinct run_id", "where action = 'posting_started'")
    return Evidence(
        read_references(folder / "records.csv"),
        {row[card.key]: stored_form(row) for row in sent},
        read_sqlite(server, "select * from incidents order by id"),
        [_timed(row) for row in read_sqlite(server, "select * from requests where method = 'POST' order by id")],
        runs,
        fates,
        {row["run_id"] for row in opened},
        _files_with(folder, token.encode()),
        _files_with(folder / "logs", b"Traceback (most recent call last)", "run_*.log"),
    )


def read_references(source: Path) -> list[str]:
    """Return the references of the file, in its order."""
    card = read_card(ENTITY)
    column = next(field.source_column for field in card.fields if field.is_key)
    with source.open(encoding="utf-8", newline="") as file:
        return [row[column] for row in csv.DictReader(file)]


def stored_form(sent: Row) -> Row:
    """Return the record that the API stores for a body: sanitised, its defaults filled in, the date in UTC."""
    body = {name: str(cell) for name, cell in sent.items() if cell is not None}
    return _SCHEMA.stored(body) | {"tenant": DEFAULT_TENANT}


def _rows(database: Path, table: str, columns: str, condition: str = "") -> list[Row]:
    """Return the rows of a table; none when the import did not get as far as to have it made."""
    if not database.exists():
        return []
    with duckdb.connect(str(database), read_only=True) as connection:
        found = connection.execute("from duckdb_tables() where schema_name || '.' || table_name = ?", [table])
        if not found.fetchall():
            return []
        found = connection.execute(f"select {columns} from {table} {condition}")  # noqa: S608 - our own names
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _timed(row: Row) -> Row:
    return row | {"at": datetime.fromisoformat(row["at"]).timestamp()}


def _files_with(folder: Path, text: bytes, pattern: str = "*") -> list[str]:
    """Return the files in which `text` stands."""
    files: Sequence[Path] = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return [str(path.relative_to(folder)) for path in files if text in path.read_bytes()]
