"""The two CSVs of a run: its accepted and its rejected records, which together are exactly the input.

DuckDB writes the records, a range of them at a time: that bounds the memory and keeps the order of the file. Text of
the file (its header, its cells) is data throughout and never part of SQL.
"""

import re
import shutil
import tempfile
from codecs import BOM_UTF8
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from loader.audit.journal import RunRow
from loader.card import Card
from loader.errors import StoppedEarly
from loader.landing.spool import ROW_GROUP
from loader.landing.sql import EXPORT_COLUMNS, FORMULA, FROM_EXPORT, GUARDED
from loader.reports.files import OutputFile, write_whole
from loader.storage.warehouse import Warehouse, copy_csv, fetch, literal

# A record that could not be read is one text in the first cell.
_HOW_TO_FIX = """
    case
        when records.status = 'excepted' then 'nothing, it is left out: ' || records.exception_reason
        when raw_record is null then problems.how_to_fix
        else 'the whole record stands in the first cell, spread it over the columns here: ' || problems.how_to_fix
    end
"""
_REFUSED = """
    select bitstring_agg(record_number, 0, ?) as refused
    from validation.int_{entity}_records
    where status <> 'valid'
"""
_DISORDER = """
    select count(*) filter (where record_number <= previous) as misplaced
    from (
        select record_number, lag(record_number) over () as previous
        from landing.raw_{entity} where parse_error is null
    )
"""
# A bit for each record, in place of a join and a sort of all of them: DuckDB keeps the order of a table through a
# filter, not through a join.
_ACCEPTED = """
    select {cells}
    from landing.raw_{entity} as source_records
    where record_number between ? and ? and coalesce(get_bit(getvariable('refused'), record_number::integer), 0) = 0
    {order}
"""
_REJECTED = """
    select {cells}
    from landing.raw_{entity} as source_records
    inner join validation.int_{entity}_records as records
        on source_records.record_number = records.record_number
    left join (
        select
            record_number,
            string_agg(code, '; ' order by severity, code, field) as codes,
            string_agg(message || ': ' || how_to_fix, '; ' order by severity, code, field, message) as how_to_fix,
            string_agg(field || ': ' || suggestion, '; ' order by severity, code, field, suggestion) as suggestion
        from validation.int_{entity}_issues
        where record_number in (
            select record_number from validation.int_{entity}_records
            where record_number between ? and ? and status <> 'valid'
        )
        group by record_number
    ) as problems on source_records.record_number = problems.record_number
    where source_records.record_number between ? and ? and records.status <> 'valid'
    {order}
"""
_ORDER = "order by source_records.record_number"


class RecordsReplaced(StoppedEarly):
    """Landing holds another build than the run's, so its records cannot be told any more."""


class _Export(NamedTuple):
    """What one of the two files holds: its header, the SQL of its records within a range, the size of such a range."""

    header: list[str]
    query: str
    range: int


def export_records(warehouse: Warehouse, run: RunRow, card: Card, output: Path) -> list[OutputFile]:
    """Write `accepted_{entity}_{run_id}.csv` (the valid records) and `rejected_...` (every other one, explained).

    Raises:
        RecordsReplaced: another dbt invocation has replaced the records of the run.
        StoppedEarly: a file cannot be written.

    """
    entity = card.entity
    with warehouse.connection(read_only=True) as connection:
        totals = fetch(connection, f"select * from validation.int_{entity}_totals")[0]  # noqa: S608 - a card's name
        landed = fetch(connection, f"select * from landing.raw_{entity} limit 1")[0]  # noqa: S608
        if (totals["invocation_id"], landed["source_sha256"]) != (run.invocation_id, run.source_sha256):
            raise _replaced(warehouse.path)
        misplaced = fetch(connection, _DISORDER.format(entity=entity))[0]["misplaced"]
        counts = [run.ready_records, run.total_records - run.ready_records]
        order = _ORDER if misplaced else ""
        ours = {theirs: name for name, theirs in totals["renamed_columns"].items()}
        columns = {name: ours.get(name, name) for name in totals["source_columns"]}
        exports = _exports(card, columns, order, is_export=landed["is_export"])
        refused = f"set variable refused = ({_REFUSED.format(entity=entity)})"

        def write(kind: str, count: int) -> OutputFile:
            session, path = connection.cursor(), output / f"{kind}_{entity}_{run.run_id}.csv"
            session.execute(refused, [totals["source_records"]])
            fill = partial(_write, session, output, totals["source_records"], exports[kind], count)
            return write_whole(kind, path, partial(fill, with_bom=landed["export_with_bom"]))

        # Side by side: while a file is hashed and flushed, DuckDB writes the other.
        with ThreadPoolExecutor(len(exports)) as writers:
            files = list(writers.map(write, exports, counts))
        if [file.records for file in files] != counts:
            for file in files:
                file.path.unlink()
            raise _replaced(warehouse.path)
    return files


def _replaced(database: Path) -> RecordsReplaced:
    return RecordsReplaced(
        f"{database}: another dbt invocation has replaced the records of this run, so its accepted and rejected files "
        "are not written (the reports are); run the same command again"
    )


def _exports(card: Card, columns: dict[str, str], accepted_order: str, *, is_export: bool) -> dict[str, _Export]:
    """Return what the files hold, by kind.

    `columns` are those of the source, without the ones that we add, each with the name under which it is landed;
    `is_export`: the source is one of these files.
    """
    known = {field.source_column for field in card.fields}
    others = sorted(name for name in columns.values() if name not in known)
    cells = [
        f'source_records."{name}"' if name in known else f"source_records.other_cells[{others.index(name) + 1}]"
        for name in columns.values()
    ]
    if is_export:
        cells = [f"if(regexp_matches({cell}, {literal(GUARDED)}), substring({cell}, 2), {cell})" for cell in cells]
    cells[0] = f"coalesce({cells[0]}, raw_record)"
    line, problems = "source_records.line_number::varchar", ["problems.codes", _HOW_TO_FIX, "problems.suggestion"]
    accepted = _ACCEPTED.format(cells=_safe([*cells, line]), entity=card.entity, order=accepted_order)
    rejected = _REJECTED.format(cells=_safe([*cells, line, *problems]), entity=card.entity, order=_ORDER)
    # Several row groups at once, so that a few cores have something to do. Putting the problems of a record together
    # takes memory that DuckDB does not move to the disk, so of rejected ones there are fewer.
    return {
        "accepted": _Export([*columns, FROM_EXPORT], accepted, 4 * ROW_GROUP),
        "rejected": _Export([*columns, *EXPORT_COLUMNS], rejected, ROW_GROUP),
    }


def _safe(cells: list[str]) -> str:
    """Return the SQL of the cells, in which nothing is null and nothing is a formula.

    A cell that begins with an ASCII letter or digit, as most do, is told by that, without the cost of a pattern.
    """
    formula = literal(FORMULA)
    return ", ".join(
        f"case when unicode({cell}) between 48 and 57 or unicode({cell}) between 65 and 122 then {cell} "
        f"when regexp_matches({cell}, {formula}) then '''' || {cell} else coalesce({cell}, '') end as cell_{at}"
        for at, cell in enumerate(cells)
    )


def _write(
    connection: Any, folder: Path, records: int, export: _Export, count: int, file: BinaryIO, *, with_bom: bool
) -> int:
    """Write the header and the records, range after range, `count` of all the `records`; return how many there are.

    Few of them are written at once: looking for them in one range after the other would cost more.
    """
    step = export.range if count > export.range else records
    header = ",".join(_header_cell(name) for name in export.header)
    file.write((BOM_UTF8 if with_bom else b"") + header.encode() + b"\n")
    written = 0
    with tempfile.TemporaryFile(dir=folder) as part:
        for first in range(1, records + 1, step):
            limits = [first, first + step - 1] * export.query.count("between ? and ?")
            written += copy_csv(connection, export.query, limits, part, quote_all=len(export.header) == 1)
            part.seek(0)
            shutil.copyfileobj(part, file, 1 << 20)
    return written


def _header_cell(name: str) -> str:
    safe = "'" + name if re.match(FORMULA, name) else name
    return '"' + safe.replace('"', '""') + '"' if not safe or set(safe) & set('",\r\n') else safe
