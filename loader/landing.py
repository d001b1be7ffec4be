"""Lands a source file: the strict scan decides what is a record, DuckDB reads the cells, and both counts must agree.

Called by the landing models, so that plain `dbt build` is as safe as the command line.
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from loader.config import SOURCE_VARIABLE, load_settings
from loader.errors import SourceRefused
from loader.scan import Record, scan
from loader.source import Source, header, open_source

MAX_RECORD_BYTES = 4 << 20
_FLUSH_RECORDS = 10_000
_READ_CSV = """
read_csv(
    '{path}', auto_detect = false, header = false, delim = ',', quote = '"', escape = '"', comment = '',
    strict_mode = true, null_padding = false, parallel = false, new_line = '\\n', nullstr = '\\x01no such text\\x01',
    max_line_size = {max_line}, buffer_size = {buffer},
    columns = {{'record_number': 'BIGINT', 'line_number': 'BIGINT', 'error': 'VARCHAR', 'cell_count': 'BIGINT',
               'raw_record': 'VARCHAR'{types}}}
)
"""


@dataclass(frozen=True)
class Columns:
    """How the file's columns meet the card's: 0-based positions in the file, by source column and for the others."""

    names: list[str]
    known: dict[str, int | None]
    others: list[int]


@dataclass(frozen=True)
class Counts:
    """What the scan counted: records (malformed ones included) and blank lines."""

    records: int
    blank_lines: int


def land(session: Any, fields: Any, identifier: str) -> Any:
    """Return the relation for the landing model `identifier` (`raw_<entity>`), read from `ETL_SOURCE`.

    Args:
        session: the DuckDB connection that dbt hands to a Python model.
        fields: relation of `contract.dim_payload_fields`.
        identifier: name of the landing model, which names the entity.

    Raises:
        SourceRefused: the file cannot be trusted at all, or the two counts differ.

    """
    entity = identifier.removeprefix("raw_")
    card = fields.project("entity, source_column, is_required, field_position").order("field_position").fetchall()
    wanted = {column: required for of, column, required, _ in card if of == entity}
    path = Path(os.environ.get(SOURCE_VARIABLE) or load_settings().default_source)
    try:
        return _land(session, path, wanted, f"landed_{identifier}")
    except SourceRefused:
        _without_traceback()
        raise
    except OSError as error:
        _without_traceback()
        raise SourceRefused(
            f"{path}: cannot be landed ({error.strerror}); free {tempfile.gettempdir()}, or set TMPDIR"
        ) from None


def _without_traceback() -> None:
    """Let dbt, which prints the traceback of a Python model's exception, print its message alone."""
    sys.tracebacklimit = 0


def _land(session: Any, path: Path, wanted: dict[str, bool], table: str) -> Any:
    with open_source(path) as source, tempfile.TemporaryFile() as spool:
        names, start = header(path, source.data, {name for name, required in wanted.items() if required})
        counts = _spool(source, start, len(names), spool)
        if not counts.records:
            raise SourceRefused(f"{path}: has a header ({len(names)} columns) and no record; export it again")
        session.execute(
            "create or replace temp table landed_source as select ? as source_file, ? as source_sha256, "
            "?::varchar[] as source_columns, ?::bigint as source_records, ?::bigint as source_blank_lines",
            [str(path), source.sha256, names, counts.records, counts.blank_lines],
        )
        session.execute(f"create or replace temp table {table} as {_select(spool, _match(names, list(wanted)))}")
    read = session.execute(f"select count(*), count(distinct record_number) from {table}").fetchall()[0]  # noqa: S608
    if read != (counts.records, counts.records):
        raise SourceRefused(
            f"{path}: the scan counts {counts.records} records, DuckDB {read[0]}; nothing was landed: report this file"
        )
    return session.table(table)


def _match(names: list[str], wanted: list[str]) -> Columns:
    positions = {name: position for position, name in enumerate(names)}
    others = sorted(name for name in names if name not in wanted)
    return Columns(names, {name: positions.get(name) for name in wanted}, [positions[name] for name in others])


def _spool(source: Source, start: int, width: int, spool: BinaryIO) -> Counts:
    """Write every record, after its number, line, error, cell count and (for a malformed one) its text."""
    lines: list[bytes] = []
    records = blank = 0
    for record in scan(source.data, start, width):
        if not record.cells:
            blank += 1
            continue
        if len(record.text) > MAX_RECORD_BYTES:
            raise SourceRefused(
                f"{source.path}:{record.line}: a record of {len(record.text)} bytes, the limit is {MAX_RECORD_BYTES}; "
                "look for a quote that is never closed"
            )
        records += 1
        lines.append(_spooled(record, width))
        if len(lines) >= _FLUSH_RECORDS:
            spool.write(b"".join(lines))
            lines.clear()
    spool.write(b"".join(lines))
    spool.flush()
    return Counts(records, blank)


def _spooled(record: Record, width: int) -> bytes:
    if record.error is None:
        return b"%d,%d,,%d,,%b\n" % (record.number, record.line, record.cells, record.text)
    text, blanks = record.text.replace(b'"', b'""'), b"," * (width - 1)
    return b'%d,%d,%b,%d,"%b",%b\n' % (record.number, record.line, record.error.encode(), record.cells, text, blanks)


def _select(spool: BinaryIO, columns: Columns) -> str:
    """Return the SQL over the spool. Only the card's names, and positions, are in it: never text of the file."""
    cells = {name: "null::varchar" if at is None else f"cell_{at}" for name, at in columns.known.items()}
    others = "[" + ", ".join(f"cell_{at}" for at in columns.others) + "]::varchar[]"
    hashed = ", ".join(cells[name] for name in sorted(cells))
    landed = "".join(f', case when parsed then {cell} end as "{name}"' for name, cell in cells.items())
    types = "".join(f", 'cell_{at}': 'VARCHAR'" for at in range(len(columns.names)))
    read_csv = _READ_CSV.format(
        path=f"/dev/fd/{spool.fileno()}",
        max_line=2 * MAX_RECORD_BYTES + 1024,
        buffer=8 * MAX_RECORD_BYTES,
        types=types,
    )
    return f"""
        with spooled as (
            select *, nullif(error, '') is null as parsed from {read_csv}
        )
        select
            landed_source.*, record_number, line_number, nullif(error, '') as parse_error, cell_count,
            case when not parsed then raw_record end as raw_record,
            sha256(case when parsed then to_json([{hashed}])::varchar || to_json({others})::varchar else raw_record end)
                as record_hash,
            case when parsed then {others} end as other_cells
            {landed}
        from spooled cross join landed_source
    """  # noqa: S608 - only our own names and numbers
