"""Turns one sheet of an .xlsx workbook into the CSV that landing reads: the text that each cell means, row by row.

A reader of workbooks gives the typed cells. What it does not tell (error texts, formulas, what is hidden, numbers with
leading zeros) is taken from the sheet's own XML. Both read a copy of the workbook's parts that was made here, within
the limits, so that no part unpacks to more than it says.
"""

import csv
import io
import posixpath
import re
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from errno import EINVAL
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO
from xml.parsers import expat

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum

from loader.config import Limits
from loader.console import counted
from loader.errors import SourceRefused

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NAMES = (".xlsx", ".xlsm")
_WORKBOOK, _RELATIONS, _STYLES = "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml"
# A part that is larger than the first and unpacks to more than the second times its size is no sheet of a person.
_LARGE, _MOST_RATIO = 10_000_000, 200
_CHUNK = 1 << 20
# A sheet that has more places for each of its cells, and more than the second in all, would take memory for nothing.
_MOST_AREA, _FREE_AREA = 4, 10_000_000
_LAST_ROW, _LAST_COLUMN = 1_048_576, 16_384
_PLACE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")
# More strings, styles or merged cells than any workbook has.
_MOST = 20_000_000
_CELLS, _FORMULAS = "cells", "formulas"
# Excel has 15 digits, a float some more, which no cell shows.
_DIGITS = 15
_SHOWN = 20
_Start = Callable[[str, dict[str, str]], None]
_SAVE = "save it again as .xlsx, or export the sheet as 'CSV UTF-8', then run again"


@dataclass
class _Told:
    """What the XML of a sheet says beside the values, by row and column from 0.

    `errors` has the texts of error cells, `widths` the digits of numbers that are shown with leading zeros. `rows` and
    `columns` are those of the rectangle that holds all values.
    """

    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    widths: dict[tuple[int, int], int] = field(default_factory=dict)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    hidden_rows: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    columns: int = 0


def is_workbook(path: Path, file: BinaryIO) -> bool:
    """Tell whether an open file is an .xlsx workbook; its position stays at the beginning.

    Raises SourceRefused for an older workbook, for one with a password, and for what is one by its name alone.
    """
    beginning = file.read(len(_OLE))
    file.seek(0)
    named = path.suffix.lower() in _NAMES
    if beginning.startswith(_OLE):
        protected = "EncryptedPackage".encode("utf-16-le") in file.read()
        what = "is protected by a password; save it without one" if protected else "is an xls file; save it as .xlsx"
        raise SourceRefused(f"{path}: {what}, or export the sheet as 'CSV UTF-8', then run again")
    if beginning.startswith(_ZIP):
        try:
            with zipfile.ZipFile(file) as archive:
                found = _WORKBOOK in archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            if named:
                raise SourceRefused(f"{path}: is damaged ({error}); {_SAVE}") from None
            found = False
        file.seek(0)
        if found:
            return True
    if named:
        raise SourceRefused(f"{path}: is no workbook, whatever its name says; {_SAVE}; rename a CSV to .csv")
    return False


def check_workbook(path: Path, file: BinaryIO, sheet: str | None, limits: Limits) -> None:
    """Raise SourceRefused where the workbook is over a limit, or its sheet cannot be told or is not there."""
    with _unpacked(path, file, limits) as archive, _reading(path):
        _chosen(path, CalamineWorkbook.from_filelike(archive), sheet)


def write_sheet(path: Path, file: BinaryIO, sheet: str | None, limits: Limits, csv_file: IO[bytes]) -> list[str]:
    """Write the sheet as CSV in UTF-8 with a line end after each row; return what is to be said of it.

    A row of blank cells is a blank line. Raises SourceRefused as `check_workbook`.
    """
    with _unpacked(path, file, limits) as archive, _reading(path):
        book = CalamineWorkbook.from_filelike(archive)
        name = _chosen(path, book, sheet)
        told = _told(zipfile.ZipFile(archive), name)
        _check_area(path, told)
        read = book.get_sheet_by_name(name)
        text = io.TextIOWrapper(csv_file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        for cells in _rows(read, told):
            if any(cells):
                writer.writerow(cells)
            else:
                text.write("\n")
        text.detach()
        return _notices(name, read, told)


@contextmanager
def _unpacked(path: Path, file: BinaryIO, limits: Limits) -> Iterator[IO[bytes]]:
    """Yield a copy of the workbook that has its XML alone, not compressed; nothing is read that is over a limit."""
    with _reading(path), zipfile.ZipFile(file) as given, tempfile.TemporaryFile() as copy:
        parts = [part for part in given.infolist() if part.filename.endswith((".xml", ".rels"))]
        _check_parts(path, parts, limits)
        with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as written:
            for part in parts:
                with given.open(part) as source, written.open(part.filename, "w", force_zip64=True) as target:
                    while chunk := source.read(_CHUNK):
                        target.write(chunk)
        with zipfile.ZipFile(copy) as written:
            for part in parts:
                with written.open(part.filename) as source:
                    _check_root(source)
        copy.seek(0)
        yield copy


def _check_parts(path: Path, parts: list[zipfile.ZipInfo], limits: Limits) -> None:
    size = sum(part.file_size for part in parts)
    if size > limits.max_file_bytes:
        raise SourceRefused(
            f"{path}: unpacks to {size} bytes, the limit is {limits.max_file_bytes}; "
            "split it, or raise [source] max_file_bytes in etl.toml"
        )
    for part in parts:
        if part.file_size > max(_LARGE, _MOST_RATIO * part.compress_size):
            ratio = part.file_size // max(part.compress_size, 1)
            raise SourceRefused(
                f"{path}: {part.filename[:80]!r} unpacks to {ratio} times its size, as a zip bomb does; {_SAVE}"
            )
    if len({part.filename for part in parts}) < len(parts):
        raise SourceRefused(f"{path}: has a part twice; {_SAVE}")


def _check_area(path: Path, told: _Told) -> None:
    """Refuse a sheet with a cell far from all others: the reader holds every cell of the rectangle around them."""
    area = told.rows * told.columns
    if area > _FREE_AREA + _MOST_AREA * told.counts[_CELLS]:
        raise SourceRefused(
            f"{path}: its {counted(told.counts[_CELLS], 'cell')} are spread over {told.rows} rows and {told.columns} "
            f"columns; delete the rows and columns that are beside the table, then save it again"
        )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Refuse in one line what turns out to be no sound workbook."""
    try:
        yield
    except (CalamineError, zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, NotImplementedError) as error:
        raise SourceRefused(f"{path}: cannot be read as a workbook ({_one_line(error)}); {_SAVE}") from None
    except (LookupError, ValueError, RuntimeError, OverflowError, OSError) as error:
        # A part that is said to begin before the file; what else the system says is about this machine.
        if isinstance(error, OSError) and error.errno != EINVAL:
            raise
        raise SourceRefused(f"{path}: is not as workbooks are ({_one_line(error)}); {_SAVE}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _chosen(path: Path, book: CalamineWorkbook, sheet: str | None) -> str:
    """Return the name of the sheet that is read."""
    names = [found.name for found in book.sheets_metadata if found.typ == SheetTypeEnum.WorkSheet]
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    shown += f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    if sheet is not None and sheet not in names:
        raise SourceRefused(f"{path}: has no sheet {sheet!r}; --sheet takes one of {shown}")
    if sheet is None and len(names) != 1:
        raise SourceRefused(f"{path}: has {counted(len(names), 'sheet')}; name one with --sheet: {shown}")
    return sheet if sheet is not None else names[0]


def _rows(sheet: CalamineSheet, told: _Told) -> Iterator[list[str]]:
    first = (sheet.start or (0, 0))[1]
    special = {row for row, _ in (*told.errors, *told.widths)}
    for row, cells in enumerate(sheet.iter_rows()):
        texts = [cell if isinstance(cell, str) else _text(cell) for cell in cells]
        if row in special:
            for at, text in enumerate(texts):
                place = row, at + first
                texts[at] = told.errors.get(place) or (text.zfill(told.widths[place]) if place in told.widths else text)
        yield texts


def _text(cell: Any) -> str:
    """Return the text that a typed cell means."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, int | float):
        return _number(cell)
    if isinstance(cell, datetime):
        moment = (cell + timedelta(microseconds=500_000)).replace(microsecond=0)
        return moment.date().isoformat() if moment.time() == time() else moment.isoformat()
    if isinstance(cell, time):
        return _text(datetime.combine(date(2000, 1, 1), cell)).partition("T")[2] or "00:00:00"
    if isinstance(cell, timedelta):
        minutes, seconds = divmod(round(cell.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _number(number: float) -> str:
    """Return a number with all its digits and no exponent."""
    if number == int(number):
        return str(int(number))
    return format(Decimal(f"{number:.{_DIGITS}g}"), "f")


def _notices(name: str, sheet: CalamineSheet, told: _Told) -> list[str]:
    """Return what a person may not know of the sheet, in words."""
    height, width = (end + 1 for end in sheet.end or (-1, -1))
    columns = sum(max(0, min(last, width) - first) for first, last in told.hidden_columns)
    rows = sum(row < height for row in told.hidden_rows)
    found = [
        (
            len(sheet.merged_cell_ranges or ()),
            "merged range",
            "its value stands in the first cell, the others are blank",
        ),
        (told.counts[_FORMULAS], "formula", "its value as it was last saved is read"),
        (rows, "hidden row", "read as the others are"),
        (columns, "hidden column", "read as the others are"),
    ]
    return [f"sheet {name!r} has {counted(count, noun)}: {said}" for count, noun, said in found if count]


# The XML. No part has a document type: it could define entities that expand without an end.


def _told(archive: zipfile.ZipFile, name: str) -> _Told:
    told, padded = _Told(), _padded_styles(archive)
    with archive.open(_part_of(archive, name)) as part:
        _SheetXml(told, padded).read(part)
    return told


def _parse(part: IO[bytes], start: _Start, end: Any = None, text: Any = None) -> None:
    """Read XML, calling these with the names of the elements without their prefixes."""

    def checked(name: str, attributes: dict[str, str]) -> None:
        # The reader takes memory for as many as are announced.
        if int(attributes.get("uniqueCount", 0)) > _MOST or int(attributes.get("count", 0)) > _MOST:
            raise ValueError(f"{name[:20]!r} announces too many parts")
        start(name.rpartition(":")[2] if ":" in name else name, attributes)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = checked
    if end:
        parser.EndElementHandler = lambda name: end(name.rpartition(":")[2] if ":" in name else name)
        parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.ParseFile(part)


class _Enough(Exception):
    """The root element is read; the rest is not looked at."""


def _check_root(part: IO[bytes]) -> None:
    """Refuse a part whose root element announces more than any has."""

    def stop(*_: Any) -> None:
        raise _Enough

    with suppress(_Enough):
        _parse(part, stop)


def _refuse_doctype(*_: Any) -> None:
    raise ValueError("its XML declares a document type")


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """Return the name of the part that holds the sheet."""
    ids: dict[str, str] = {}
    targets: dict[str, str] = {}

    def of_sheet(element: str, attributes: dict[str, str]) -> None:
        if element == "sheet":
            ids[attributes["name"]] = next(value for key, value in attributes.items() if key.endswith(":id"))

    def of_relation(element: str, attributes: dict[str, str]) -> None:
        if element == "Relationship":
            targets[attributes["Id"]] = attributes["Target"]

    for part, start in ((_WORKBOOK, of_sheet), (_RELATIONS, of_relation)):
        with archive.open(part) as file:
            _parse(file, start)
    return posixpath.normpath(posixpath.join("/xl", targets[ids[sheet]])).lstrip("/")


def _padded_styles(archive: zipfile.ZipFile) -> dict[str, int]:
    """Return the styles that show a whole number with leading zeros, as the format 00000 does, and its digits."""
    codes: dict[str, str] = {}
    used: list[str] = []
    inside: list[str] = []

    def start(element: str, attributes: dict[str, str]) -> None:
        inside.append(element)
        if element == "numFmt":
            codes[attributes["numFmtId"]] = attributes.get("formatCode", "")
        elif element == "xf" and "cellXfs" in inside:
            used.append(attributes.get("numFmtId", "0"))

    if _STYLES not in archive.namelist():
        return {}
    with archive.open(_STYLES) as file:
        _parse(file, start, lambda _: inside.pop(), lambda _: None)
    widths = {key: len(code) for key, code in codes.items() if re.fullmatch("00+", code)}
    return {str(at): widths[key] for at, key in enumerate(used) if key in widths}


class _SheetXml:
    """Reads the XML of a sheet into `told`; a row or cell without a number follows the one before."""

    def __init__(self, told: _Told, padded: dict[str, int]) -> None:
        self._told, self._padded = told, padded
        self._row, self._column = -1, -1
        self._is_error = False
        self._error: list[str] | None = None

    def read(self, part: IO[bytes]) -> None:
        """Read all of it."""
        _parse(part, self._start, self._end, self._text)

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        if element == "c":
            self._cell(attributes)
        elif element == "row":
            self._row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
            self._column = -1
            if attributes.get("hidden") in ("1", "true"):
                self._told.hidden_rows.append(self._row)
        elif element in ("v", "is"):
            self._value()
        elif element == "f":
            self._told.counts[_FORMULAS] += 1
        elif element == "col" and attributes.get("hidden") in ("1", "true"):
            self._told.hidden_columns.append((int(attributes["min"]) - 1, int(attributes["max"])))

    def _value(self) -> None:
        told = self._told
        told.counts[_CELLS] += 1
        told.rows, told.columns = max(told.rows, self._row + 1), max(told.columns, self._column + 1)
        if self._is_error:
            self._error = []

    def _cell(self, attributes: dict[str, str]) -> None:
        if "r" in attributes:
            self._row, self._column = _place_of(attributes["r"])
        else:
            self._column += 1
        kind = attributes.get("t", "n")
        self._is_error = kind == "e"
        if kind == "n" and (width := self._padded.get(attributes.get("s", ""))):
            self._told.widths[self._row, self._column] = width

    def _end(self, element: str) -> None:
        if element == "v" and self._error is not None:
            self._told.errors[self._row, self._column] = "".join(self._error)
            self._error = None

    def _text(self, text: str) -> None:
        if self._error is not None:
            self._error.append(text)


def _place_of(name: str) -> tuple[int, int]:
    """Return the row and the column, from 0, of a place such as `AB12`."""
    place = _PLACE.fullmatch(name)
    column = _column_of(place[1].upper()) if place else 0
    row = int(place[2]) if place else 0
    if not (1 <= row <= _LAST_ROW and 1 <= column <= _LAST_COLUMN):
        raise ValueError(f"it has a cell at {name[:20]!r}")
    return row - 1, column - 1


@cache
def _column_of(letters: str) -> int:
    column = 0
    for letter in letters:
        column = 26 * column + ord(letter) - ord("A") + 1
    return column
