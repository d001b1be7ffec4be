"""Lands a source file: the strict scan decides what is a record, DuckDB reads the cells, and both counts must agree.

Called by the landing models, so that plain `dbt build` is as safe as the command line.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from loader.config import SOURCE_VARIABLE, Settings, load_settings
from loader.dialect import dialect_of_environment
from loader.errors import SourceRefused
from loader.header import read_columns
from loader.landing_sql import EXPORT_COLUMNS, FROM_EXPORT, LANDED, Columns, errors_query, lines_query, records_query
from loader.source import Source, no_record, open_source
from loader.spool import Counts, spool_records


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
    settings = load_settings()
    path = Path(os.environ.get(SOURCE_VARIABLE) or settings.default_source)
    with _without_traceback(), tempfile.TemporaryFile() as records, tempfile.TemporaryFile() as errors:
        try:
            columns = _spool(session, path, settings, wanted, records, errors)
            _read(session, path, settings, columns, records, errors)
        except OSError as error:
            raise SourceRefused(
                f"{path}: cannot be landed ({error.strerror}); free {tempfile.gettempdir()}, or set TMPDIR"
            ) from None
    return session.sql(records_query(columns))


@contextmanager
def _without_traceback() -> Iterator[None]:
    """Let dbt, which prints the traceback of a Python model's exception, print the message of a refusal alone."""
    try:
        yield
    except SourceRefused:
        sys.tracebacklimit = 0
        raise


def _spool(
    session: Any, path: Path, settings: Settings, wanted: dict[str, bool], records: BinaryIO, errors: BinaryIO
) -> Columns:
    """Scan the file into the two spools, and keep what there is to know of the file as a whole in `landed_source`."""
    dialect = dialect_of_environment()
    required = {name for name, needed in wanted.items() if needed}
    with open_source(path, dialect, settings.limits) as source:
        names, start = read_columns(path, source.data, required, dialect.delimiter, settings.limits.max_columns)
        counts = spool_records(source, start, len(names), dialect.delimiter, settings.limits, records, errors)
        if not counts.records:
            raise no_record(path, names)
        columns = Columns.matched(names, list(wanted), dialect.delimiter)
        _keep_source(session, source, columns, counts)
    return columns


def _keep_source(session: Any, source: Source, columns: Columns, counts: Counts) -> None:
    session.execute(
        "create or replace temp table landed_source as select ? as source_file, ? as source_sha256, "
        "?::varchar[] as source_columns, ?::bigint as source_records, ?::bigint as source_blank_lines, "
        "?::boolean as is_export, ?::boolean as export_with_bom",
        [
            str(source.path),
            source.sha256,
            [name for name in columns.names if name not in EXPORT_COLUMNS],
            counts.records,
            counts.blank_lines,
            FROM_EXPORT in columns.names or _written_by_us(session, source.sha256),
            source.export_with_bom,
        ],
    )


def _written_by_us(session: Any, sha256: str) -> bool:
    """Tell whether these bytes are a file that a run of ours wrote, with its formulas neutralised."""
    if not session.execute("select 1 from duckdb_schemas() where schema_name = 'audit'").fetchall():
        return False
    return bool(session.execute("select 1 from audit.fct_output_files where sha256 = ?", [sha256]).fetchall())


def _read(session: Any, path: Path, settings: Settings, columns: Columns, records: BinaryIO, errors: BinaryIO) -> None:
    """Let DuckDB read the spools, and refuse the file when it does not find what the scan found."""
    limit = settings.limits.max_record_bytes
    session.execute(f"create or replace temp table {LANDED} as {lines_query(records, columns, limit)}")
    session.execute(f"create or replace temp table {LANDED}_errors as {errors_query(errors, limit)}")
    (counted,) = session.execute("select source_records from landed_source").fetchall()
    (read,) = session.execute(
        f"select count(*) + (select count(*) from {LANDED}_errors), "  # noqa: S608 - a name of ours
        f"count(*) filter (where first_row > 0 and first_row <> rowid + 1) from {LANDED}"
    ).fetchall()
    if read != (counted[0], 0):
        raise SourceRefused(
            f"{path}: the scan counts {counted[0]} records, DuckDB {read[0]}, of which {read[1]} are out of step; "
            "nothing was landed: report this file"
        )
