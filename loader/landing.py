"""Lands a source file: the strict scan decides what is a record, DuckDB reads the cells, and both counts must agree.

Called by the landing models, so that plain `dbt build` is as safe as the command line.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from loader.config import SOURCE_VARIABLE, load_settings
from loader.dialect import dialect_of_environment
from loader.errors import SourceRefused
from loader.handover import received
from loader.landing_sql import EXPORT_COLUMNS, LANDED, Columns, errors_query, lines_query, records_query
from loader.spool import Spooled, spool_file


def land(session: Any, fields: Any, identifier: str) -> Any:
    """Return the relation for the landing model `identifier` (`raw_<entity>`), read from `ETL_SOURCE`.

    Args:
        session: the DuckDB connection that dbt hands to a Python model.
        fields: relation of `contract.dim_payload_fields`.
        identifier: name of the landing model, which names the entity.

    Raises:
        SourceRefused: the file cannot be trusted at all, or the two counts differ.
        Refused: `etl.toml`, `ETL_DELIMITER` or `ETL_ENCODING` is not acceptable.

    """
    entity = identifier.removeprefix("raw_")
    card = fields.project("entity, field_position, source_column, is_required").fetchall()
    wanted = {column: required for of, _, column, required in sorted(card) if of == entity}
    limit = load_settings().limits.max_record_bytes
    with _without_traceback(), _spools(wanted) as (spooled, records, errors):
        columns = Columns.matched(spooled.columns, list(wanted), dialect_of_environment().delimiter)
        _keep_source(session, spooled)
        session.execute(f"create or replace temp table {LANDED} as {lines_query(records, columns, limit)}")
        session.execute(f"create or replace temp table {LANDED}_errors as {errors_query(errors, limit)}")
        _compare(session, spooled)
    return session.sql(records_query(columns))


@contextmanager
def _without_traceback() -> Iterator[None]:
    """Let dbt, which prints the traceback of a Python model's exception, print the message of a refusal alone."""
    try:
        yield
    except SourceRefused:
        sys.tracebacklimit = 0
        raise


@contextmanager
def _spools(wanted: dict[str, bool]) -> Iterator[tuple[Spooled, IO[bytes], IO[bytes]]]:
    """Yield the spools of the file: those that were handed over, or else its own."""
    with received() as handed:
        if handed:
            yield handed
            return
        settings = load_settings()
        path = Path(os.environ.get(SOURCE_VARIABLE) or settings.default_source)
        with tempfile.TemporaryFile(buffering=1 << 20) as records, tempfile.TemporaryFile() as errors:
            dialect = dialect_of_environment()
            yield spool_file(path, wanted, dialect, settings.limits, records, errors), records, errors


def _keep_source(session: Any, spooled: Spooled) -> None:
    """Keep what there is to know of the file as a whole in `landed_source`."""
    session.execute(
        "create or replace temp table landed_source as select ? as source_file, ? as source_sha256, "
        "to_json(?::varchar[])::varchar as source_columns, ?::bigint as source_records, "
        "?::bigint as source_blank_lines, ?::boolean as is_export, ?::boolean as export_with_bom",
        [
            spooled.source_file,
            spooled.sha256,
            [name for name in spooled.columns if name not in EXPORT_COLUMNS],
            spooled.records,
            spooled.blank_lines,
            any(name in EXPORT_COLUMNS for name in spooled.columns),
            spooled.export_with_bom,
        ],
    )


def _compare(session: Any, spooled: Spooled) -> None:
    """Refuse the file when DuckDB has not read from the spools what the scan has found in it."""
    (read,) = session.execute(
        f"select count(*) + (select count(*) from {LANDED}_errors), "  # noqa: S608 - a name of ours
        "count(*) filter (where record_number <= before or lines_ahead < ahead_before) from ("
        "select *, lag(record_number) over () as before, lag(lines_ahead) over () as ahead_before "
        f"from {LANDED})"
    ).fetchall()
    if read != (spooled.records, 0):
        raise SourceRefused(
            f"{spooled.source_file}: the scan counts {spooled.records} records, DuckDB {read[0]}, of which {read[1]} "
            "are out of step; nothing was landed: report this file"
        )
