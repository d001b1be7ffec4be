"""Writes a report table as CSV, Parquet or JSON. The rows have the same order each time."""

import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from loader.console import silence, unwritten
from loader.errors import Refused
from loader.landing.sql import FORMULA
from loader.reports.files import write_whole
from loader.storage.warehouse import Warehouse, copy_rows, fetch, literal

STANDARD_OUTPUT = "-"


def output_path(given: str) -> Path | None:
    """Return the file that is to be written; None for standard output.

    Raises Refused where there is something other than a file at this path, which would be replaced.
    """
    if given == STANDARD_OUTPUT:
        return None
    path = Path(given).absolute()
    with suppress(OSError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise Refused(f"{path}: is {what}; name a file that is to be written, or - for standard output")
    return path


def put(path: Path | None, write: Callable[[BinaryIO], int | None]) -> None:
    """Let `write` fill the file; for None, a temporary one that is copied to standard output when it is complete.

    Raises StoppedEarly where it cannot be written.
    """
    if path:
        write_whole("", path, write)
        return
    with tempfile.TemporaryFile() as file:
        write(file)
        file.seek(0)
        try:
            shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            silence(sys.stdout)
        except OSError as error:
            raise unwritten(error, "name a file") from error


FORMATS = {
    "csv": "format csv, header true, compression none",
    "json": "format json, array true, compression none",
    "parquet": "format parquet",
}
_VIEWS = (
    "select view_name from duckdb_views() where schema_name = 'audit' and starts_with(view_name, 'rpt_') order by all"
)
# No value of these types is text, so none can be a formula, not even one with a sign.
_NO_TEXT = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT|INTEGER|UINTEGER|DOUBLE|FLOAT|DECIMAL.*|BOOLEAN|DATE|TIMESTAMP.*)")


def write_table(warehouse: Warehouse, table: str, form: str, path: Path | None, run_id: str | None) -> None:
    """Write the rows of a view, those of one run alone with `run_id`, to a file or for None to standard output.

    Raises:
        Refused: there is no such view, or it has no column for a run, or Parquet is to go to standard output.
        StoppedEarly: the file cannot be written.

    """
    if path is None and form == "parquet":
        raise Refused("Parquet is no text for standard output; name a file with --output")
    known = [row["view_name"] for row in warehouse.rows(_VIEWS)]
    if table not in known:
        raise Refused(f"{warehouse.path}: no table {table[:80]!r} in audit; there are {', '.join(known)}")
    with warehouse.connection(read_only=True) as connection:
        columns = fetch(connection, f"select column_name, column_type from (describe audit.{table})")  # noqa: S608
        names = [f'report."{column["column_name"]}"' for column in columns]
        if run_id is not None and 'report."run_id"' not in names:
            raise Refused(f"{table} has no column run_id; leave --run out")
        types = [column["column_type"] for column in columns]
        cells = [_cell(name, kind) for name, kind in zip(names, types, strict=True)] if form == "csv" else names
        of_run = "" if run_id is None else " where run_id = ?"
        query = f"select {', '.join(cells)} from audit.{table} as report{of_run} order by {', '.join(names)}"  # noqa: S608
        parameters = [] if run_id is None else [run_id]
        put(path, lambda file: copy_rows(connection, query, parameters, file, FORMATS[form]))


def _cell(name: str, column_type: str) -> str:
    """Return the SQL of a cell that no spreadsheet runs."""
    if _NO_TEXT.fullmatch(column_type):
        return name
    text = f"{name}::varchar"
    return f"if(regexp_matches({text}, {literal(FORMULA)}), '''' || {text}, {text}) as {name.partition('.')[2]}"
