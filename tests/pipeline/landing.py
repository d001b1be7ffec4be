"""A file landed into a DuckDB in memory, for tests of landing."""

import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loader.landing.land import land

NAMES = ["ref", "title", "place"]
CARD = """
    select *, source_column = 'ref' as is_key
    from (values ('incident', 'title', true, 2), ('incident', 'ref', true, 1), ('incident', 'place', false, 3),
        ('action', 'owner', true, 1)) as card (entity, source_column, is_required, field_position)
"""


def landed(
    data: bytes | str, name: str = "export.csv", folder: Path | None = None, *, ordered: bool = True
) -> list[dict[str, Any]]:
    """Land these bytes as a file of this name and return the rows in the order of the file, or as they come."""
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        path = (folder or Path(temporary)) / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        patch.setenv("ETL_SOURCE", str(path))
        patch.setenv("ETL_ENTITY", "incident")
        with duckdb.connect() as session:
            relation = land(session, session.sql(CARD), "raw_incident")
            rows = (relation.order("record_number") if ordered else relation).fetchall()
            return [dict(zip(relation.columns, row, strict=True)) for row in rows]


def cells(row: dict[str, Any]) -> list[str | None]:
    return [row[name] for name in NAMES]
