"""A strict RFC 4180 scan of a CSV held in memory or mapped: which bytes are a record, and which are not one.

Source of the grammar: RFC 4180, section 2. Records end in LF, CRLF or the end of the file; a quoted cell may
contain line breaks and doubled quotes; an unquoted cell contains no quote and no carriage return.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

# Possessive throughout: a file cannot make the scan backtrack, so its time is linear in the size of the file.
_QUOTED = rb'"(?:[^"]++|"")*+"'
_CELL = rb'(?:"(?:[^"]++|"")*+"|[^",\r\n]*+)'
_END = rb"(?:\r\n|\n|\Z)"
_RECORD = re.compile(rb"(" + _CELL + rb"(?:," + _CELL + rb")*+)" + _END)
_ONE_CELL = re.compile(_CELL)
_QUOTED_CELL = re.compile(_QUOTED)
_LINE_END = re.compile(rb"\r?\n\Z")
_REST_OF_LINE = re.compile(rb"[^\n]*+(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class Record:
    """One record: `text` without its line end, on `line` (from 1); `error` is a code of issue_codes, or None."""

    number: int
    line: int
    text: bytes
    cells: int
    error: str | None


def record_of_width(width: int) -> re.Pattern[bytes]:
    """Return the pattern of one record with exactly `width` cells; group 1 is the record without its line end."""
    return re.compile(rb"(" + _CELL + rb"(?:," + _CELL + rb"){%d})" % (width - 1) + _END)


def split_cells(text: bytes) -> list[bytes]:
    """Return the cells of one well-formed record, unquoted."""
    cells, position = [], 0
    while position <= len(text):
        match = _ONE_CELL.match(text, position)
        if match is None:  # pragma: no cover - the caller passes a record that matched _RECORD
            raise ValueError("not a well-formed record")
        cell = match.group()
        cells.append(cell[1:-1].replace(b'""', b'"') if cell.startswith(b'"') else cell)
        position = match.end() + 1
    return cells


def read_header(data: bytes | mmap) -> tuple[list[bytes] | None, int]:
    """Return the header's cells and the offset of the first record; the cells are None when it is malformed."""
    match = _RECORD.match(data)
    return (split_cells(match.group(1)), match.end()) if match else (None, 0)


def scan(data: bytes | mmap, start: int, width: int) -> Iterator[Record]:
    """Yield every record from `start` on, numbered from 1; blank lines are yielded as number 0 with no cells.

    A record that is not RFC 4180, or not `width` cells wide, has an `error`; the scan goes on at the next line.
    """
    exact = record_of_width(width)
    number, position, line, size = 0, start, 1 + bytes(data[:start]).count(b"\n"), len(data)
    while position < size:
        match = exact.match(data, position)
        if match:
            text, end, error, cells = match.group(1), match.end(), None, width
        else:
            text, end, error, cells = _irregular(data, position, width)
        if cells:
            number += 1
        yield Record(number if cells else 0, line, text, cells, error)
        line += text.count(b"\n") + 1
        position = end


def _irregular(data: bytes | mmap, position: int, width: int) -> tuple[bytes, int, str | None, int]:
    match = _RECORD.match(data, position)
    if match:
        text = match.group(1)
        if not text:
            return text, match.end(), None, 0
        cells = len(split_cells(text))
        return text, match.end(), "too_few_columns" if cells < width else "too_many_columns", cells
    return _malformed(data, position)


def _malformed(data: bytes | mmap, position: int) -> tuple[bytes, int, str, int]:
    """Name what breaks RFC 4180 first, and take the record to end with the line in which that happens."""
    cell, cells = position, 1
    while (match := _ONE_CELL.match(data, cell)) and data[match.end() : match.end() + 1] == b",":
        cell, cells = match.end() + 1, cells + 1
    quoted = data[cell : cell + 1] == b'"'
    after = match.end() if match else cell
    if not quoted:
        error = "bare_quote" if data[after : after + 1] == b'"' else "bare_carriage_return"
    elif _QUOTED_CELL.match(data, cell):
        error = "not_quoted_to_the_end"
    else:
        error, after = "unterminated_quote", cell
    rest = _REST_OF_LINE.match(data, after)
    end = rest.end() if rest else len(data)
    return _LINE_END.sub(b"", data[position:end]), end, error, cells
