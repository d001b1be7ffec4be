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
from sandbox.schema import IncidentCreate

Row = dict[str, Any]
ENTITY = "incident"
_POSTED = "where mode = 'import' and address is not null"


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
    with duckdb.connect(str(database), read_only=True) as connection:
        sent = _rows(connection, f"select {columns} from payload.{card.payload_model}")  # noqa: S608 - our own names
        runs = _rows(connection, f"select * from audit.fct_runs {_POSTED} order by start_time")  # noqa: S608 - as above
        fates = _rows(connection, "select run_id, reference_number, result from audit.fct_import_records")
        opened = _rows(connection, "select distinct run_id from audit.fct_run_events where action = 'posting_started'")
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
    return IncidentCreate.model_validate(body).model_dump(mode="json") | {"tenant": DEFAULT_TENANT}


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    found = connection.execute(query)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _timed(row: Row) -> Row:
    return row | {"at": datetime.fromisoformat(row["at"]).timestamp()}


def _files_with(folder: Path, text: bytes, pattern: str = "*") -> list[str]:
    """Return the files in which `text` stands."""
    files: Sequence[Path] = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return [str(path.relative_to(folder)) for path in files if text in path.read_bytes()]
