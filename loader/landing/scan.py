"""A strict RFC 4180 scan of a CSV held in memory or mapped: which bytes are a record, and which are not one."""

import re
from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

# Before Python 3.11.5 a possessive group that fails behind its first literals leaves the scan where it failed (CPython
# issue 106052), so none here can: each is entered by literals, and what follows them always matches.
_QUOTED = rb'"[^"]*+(?:""[^"]*+)*+"'
_END = rb"(?:\r\n|\n|\Z)"


class Grammar:
    """The patterns of one delimiter and one width, the number of cells of a record.

    A cell is taken whole or not at all, so a file cannot make the scan go back further than over its cells one by one:
    its time is linear in the size of the file. With `record_is_line`, as in a sheet, a line break in a cell is no line.
    """

    def __init__(self, delimiter: bytes, width: int, *, record_is_line: bool = False) -> None:
        sign = re.escape(delimiter)
        # A record of one blank cell would be a blank line, which is not a record.
        blank = b"" if width == 1 else b"?"
        plain = rb'[^"%b\r\n]++' % sign
        cell = rb"(?:%b|%b)%b" % (plain, _QUOTED, blank)
        self.delimiter = delimiter
        self.width = width
        self.record_is_line = record_is_line
        self.records = re.compile(rb"(?:%b(?:%b%b){%d}\r?\n)+" % (cell, sign, cell, width - 1))
        self.exact = re.compile(rb"(%b(?:%b%b){%d})%b" % (cell, sign, cell, width - 1, _END))
        self.record = re.compile(rb"(%b(?:%b%b)*+)%b" % (cell, sign, cell, _END))
        self.cell = re.compile(rb"(?:%b|%b)?" % (plain, _QUOTED))
        self.quoted = re.compile(_QUOTED)

    def breaks(self, joined: bytes) -> int:
        """Return how many lines `joined_records` have more than there are records."""
        return 0 if self.record_is_line else joined.count(CELL_BREAK)


def split_cells(text: bytes, grammar: Grammar) -> list[bytes]:
    """Return the cells of one well-formed record, unquoted."""
    cells, position = [], 0
    while position <= len(text):
        match = grammar.cell.match(text, position)
        if match is None:  # pragma: no cover - the pattern matches an empty cell everywhere
            raise ValueError("not a well-formed record")
        cell = match.group()
        cells.append(cell[1:-1].replace(b'""', b'"') if cell.startswith(b'"') else cell)
        position = match.end() + 1
    return cells


# A line break within a cell, where records are one text. No text in UTF-8 has this byte.
CELL_BREAK = b"\xff"
# The most of one piece, but for a record that is longer.
PIECE_BYTES = 1 << 14


def joined_records(text: bytes) -> bytes:
    """Return well-formed records, each ended, with LF as the end of each and `CELL_BREAK` for the LF in their cells."""
    parts = text.split(b'"')
    if any(b"\n" in part for part in parts[1::2]):
        parts[1::2] = [part.replace(b"\n", CELL_BREAK) for part in parts[1::2]]
    if any(b"\r" in part for part in parts[::2]):
        parts[::2] = [part.replace(b"\r\n", b"\n") for part in parts[::2]]
    return b'"'.join(parts)


def separate_records(joined: bytes) -> list[bytes]:
    """Return the records of `joined_records` one by one, as they are in the file, without their line ends."""
    return [record.replace(CELL_BREAK, b"\n") for record in joined.split(b"\n")[:-1]]


_LINE_END = re.compile(rb"\r?\n\Z")
_BLANK_LINES = re.compile(rb"\n++|(?:\r\n)++")
_REST_OF_LINE = re.compile(rb"[^\n]*+(?:\n|\Z)")
# How far ahead a file that is not UTF-8 throughout is decoded: twice as far each time that nothing is found, so that
# neither many damaged records nor many sound ones between two of them take long.
_LEAST_AHEAD, _MOST_AHEAD = 1 << 9, 1 << 16


class Piece(NamedTuple):
    """Consecutive records from record `number` and `line` on, both from 1, or blank lines, which are no record.

    `text` has the records as `joined_records` has them, `records` is how many, `lines` how many line ends there are. A
    malformed record is alone, as it is but for its line end: `error` is its code of issue_codes. `cells` is the
    count of one record.
    """

    number: int
    line: int
    text: bytes
    records: int
    lines: int
    cells: int
    error: str | None = None


def read_header(data: bytes | mmap, delimiter: bytes) -> tuple[list[bytes] | None, int]:
    """Return the header's cells and the offset of the first record; the cells are None when it is malformed."""
    grammar = Grammar(delimiter, 2)
    match = grammar.record.match(data)
    return (split_cells(match.group(1), grammar), match.end()) if match else (None, 0)


def scan(data: bytes | mmap, start: int, grammar: Grammar, window: int, *, is_utf8: bool = True) -> Iterator[Piece]:
    """Yield all that follows `start`, in pieces of at most `window` bytes or one record.

    A record that is not RFC 4180, not as wide as the grammar, or not UTF-8, is a piece of its own with an `error`;
    the scan goes on at the next line. `is_utf8` says that the whole is known to be UTF-8.
    """
    number, position, line, size = 1, start, 1 + bytes(data[:start]).count(b"\n"), len(data)
    valid, ahead = size if is_utf8 else start, _LEAST_AHEAD
    while position < size:
        if valid <= position:
            valid = position + _valid_bytes(data[position : position + ahead])
            # A character may be cut at the end.
            ahead = min(2 * ahead, _MOST_AHEAD) if valid > position + ahead - 4 else _LEAST_AHEAD
        limit = min(valid, position + min(window, PIECE_BYTES))
        piece, end = _next(data, position, grammar, limit, valid)
        yield piece._replace(number=number, line=line)
        number, line, position = number + piece.records, line + piece.lines, end


def _next(data: bytes | mmap, position: int, grammar: Grammar, limit: int, valid: int) -> tuple[Piece, int]:
    """Return the piece at `position`, numbered from 0, and the offset after it; a single record may pass `limit`.

    Up to `valid` all is known to be UTF-8.
    """
    if match := _BLANK_LINES.match(data, position):
        return Piece(0, 0, b"", 0, match.group().count(b"\n"), 0), match.end()
    if match := grammar.records.match(data, position, limit):
        text = joined_records(match.group())
        records = text.count(b"\n")
        return Piece(0, 0, text, records, records + grammar.breaks(text), grammar.width), match.end()
    text, cells, error, end = _single(data, position, grammar)
    if end > valid and _valid_bytes(text) < len(text):
        error = "not_utf8"
    lines = 1 if grammar.record_is_line else data[position:end].count(b"\n")
    return Piece(0, 0, text if error else joined_records(text + b"\n"), 1, lines, cells, error), end


def _valid_bytes(text: bytes) -> int:
    """Return how many bytes there are before the first one that is not UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(text)


def _single(data: bytes | mmap, position: int, grammar: Grammar) -> tuple[bytes, int, str | None, int]:
    """Return one record, its count of cells, what is wrong with it, and the offset after it."""
    if match := grammar.exact.match(data, position):
        return match.group(1), grammar.width, None, match.end()
    if match := grammar.record.match(data, position):
        text = match.group(1)
        cells = len(split_cells(text, grammar)) if b'"' in text else text.count(grammar.delimiter) + 1
        error = "too_few_columns" if cells < grammar.width else "too_many_columns"
        return match.group(1), cells, error, match.end()
    return _malformed(data, position, grammar)


def _malformed(data: bytes | mmap, position: int, grammar: Grammar) -> tuple[bytes, int, str | None, int]:
    """Name what breaks RFC 4180 first, and take the record to end with the line in which that happens."""
    cell, cells = position, 1
    while (match := grammar.cell.match(data, cell)) and data[match.end() : match.end() + 1] == grammar.delimiter:
        cell, cells = match.end() + 1, cells + 1
    quoted = data[cell : cell + 1] == b'"'
    after = match.end() if match else cell
    if not quoted:
        error = "bare_quote" if data[after : after + 1] == b'"' else "bare_carriage_return"
    elif grammar.quoted.match(data, cell):
        error = "not_quoted_to_the_end"
    else:
        error, after = "unterminated_quote", cell
    rest = _REST_OF_LINE.match(data, after)
    end = rest.end() if rest else len(data)
    return _LINE_END.sub(b"", data[position:end]), cells, error, end
