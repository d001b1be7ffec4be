"""A strict RFC 4180 scan of a CSV held in memory or mapped: which bytes are a record, and which are not one.

Source of the grammar: RFC 4180, section 2, with the delimiter left open. Records end in LF, CRLF or the end of the
file; a quoted cell may contain line breaks and doubled quotes; an unquoted cell has no quote and no carriage return.
"""

import re
from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

_LINE_END = re.compile(rb"\r?\n\Z")
_BLANK_LINES = re.compile(rb"\n++|(?:\r\n)++")
_REST_OF_LINE = re.compile(rb"[^\n]*+(?:\n|\Z)")
# Before Python 3.11.5 a possessive group that fails behind its first literals leaves the scan where it failed (CPython
# issue 106052), so none here can: each is entered by literals, and what follows them always matches.
_QUOTED = rb'"[^"]*+(?:""[^"]*+)*+"'
# The records that one match may take, and their bytes: it keeps its place at each of them, which is memory.
_MOST_RECORDS, _MOST_BYTES = 4096, 1_000_000
# How far ahead a file that is not UTF-8 throughout is looked at: a byte is decoded once, not once per record.
_CHECKED_BYTES = 1 << 16
_END = rb"(?:\r\n|\n|\Z)"


class Grammar:
    """The patterns of one delimiter and one width, the number of cells of a record.

    A cell is taken whole or not at all, so a file cannot make the scan go back further than over its cells one by one:
    its time is linear in the size of the file.
    """

    def __init__(self, delimiter: bytes, width: int) -> None:
        sign = re.escape(delimiter)
        # A record of one blank cell would be a blank line, which is not a record.
        blank = b"" if width == 1 else b"?"
        plain = rb'[^"%b\r\n]++' % sign
        cell = rb"(?:%b|%b)%b" % (plain, _QUOTED, blank)
        self.delimiter = delimiter
        self.width = width
        self.records = re.compile(rb"(?:%b(?:%b%b){%d}\r?\n){1,%d}" % (cell, sign, cell, width - 1, _MOST_RECORDS))
        self.exact = re.compile(rb"(%b(?:%b%b){%d})%b" % (cell, sign, cell, width - 1, _END))
        self.record = re.compile(rb"(%b(?:%b%b)*+)%b" % (cell, sign, cell, _END))
        self.cell = re.compile(rb"(?:%b|%b)?" % (plain, _QUOTED))
        self.quoted = re.compile(_QUOTED)


class Piece(NamedTuple):
    """Consecutive records from record `number` and `line` on, both from 1, or blank lines, which are no record.

    `records` are the bytes of each without its line end; `lines` is how many line ends there are. A malformed record
    stands alone: `error` is its code of issue_codes. `cells` is the count of one record.
    """

    number: int
    line: int
    records: list[bytes]
    lines: int
    cells: int
    error: str | None = None


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
    valid = size if is_utf8 else start
    while position < size:
        if valid <= position:
            valid = position + _valid_bytes(data[position : position + _CHECKED_BYTES])
        piece, end = _next(data, position, grammar, min(valid, position + window))
        if piece.records and end > valid and _valid_bytes(piece.records[0]) < len(piece.records[0]):
            piece = piece._replace(error="not_utf8")
        yield piece._replace(number=number, line=line)
        number, line, position = number + len(piece.records), line + piece.lines, end


def _next(data: bytes | mmap, position: int, grammar: Grammar, limit: int) -> tuple[Piece, int]:
    """Return the piece at `position`, numbered from 0, and the offset after it; a single record may pass `limit`."""
    if match := _BLANK_LINES.match(data, position):
        return Piece(0, 0, [], match.group().count(b"\n"), 0), match.end()
    if match := grammar.records.match(data, position, min(limit, position + _MOST_BYTES)):
        records, lines = _split_records(match.group())
        return Piece(0, 0, records, lines, grammar.width), match.end()
    record, cells, error, end = _single(data, position, grammar)
    return Piece(0, 0, [record], data[position:end].count(b"\n"), cells, error), end


def _split_records(text: bytes) -> tuple[list[bytes], int]:
    """Return the records of a well-formed text one by one, without their line ends, and the number of its lines.

    A line with an odd number of quotes begins or ends a record of several lines, whatever stands between them.
    """
    lines = text.split(b"\n")[:-1]
    records, done = [], 0
    odd = [at for at, line in enumerate(lines) if b'"' in line and line.count(b'"') % 2]
    for first, last in zip(odd[::2], odd[1::2], strict=True):
        records += lines[done:first]
        records.append(b"\n".join(lines[first : last + 1]))
        done = last + 1
    records += lines[done:]
    if b"\r" in text:
        records = [record.removesuffix(b"\r") for record in records]
    return records, len(lines)


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
