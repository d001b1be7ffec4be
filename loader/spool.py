"""Writes what the scan finds into two spools that DuckDB reads: the well-formed records, and the malformed ones."""

from dataclasses import dataclass
from typing import BinaryIO

from loader.config import Limits
from loader.errors import SourceRefused
from loader.scan import Grammar, Piece, scan, split_cells
from loader.source import Source


@dataclass(frozen=True)
class Counts:
    """What the scan counted: records (malformed ones included) and blank lines."""

    records: int
    blank_lines: int


def spool_records(
    source: Source, start: int, width: int, delimiter: str, limits: Limits, records: BinaryIO, errors: BinaryIO
) -> Counts:
    """Write every record that follows `start` into one of the two spools.

    A well-formed record goes to `records` as it stands, after three numbers: what is to be added to its place in the
    spool (from 0) for its record number and for its line number, and its place (from 1) as a check. They stand before
    the first record of a piece and are 0 before the others. A malformed record goes to `errors` as record number, line
    number, code, count of cells and text.

    Raises:
        SourceRefused: a record or one of its cells is over its limit.

    """
    grammar, placed, last, blank_lines = Grammar(delimiter.encode(), width), 0, 0, 0
    between = b"\n" + b"0%b0%b0%b" % (grammar.delimiter, grammar.delimiter, grammar.delimiter)
    for piece in scan(source.data, start, grammar, limits.max_record_bytes, is_utf8=source.is_utf8):
        if piece.records == 0:
            blank_lines += piece.text.count(b"\n")
            continue
        _check_sizes(source, piece, grammar, limits)
        last = piece.number + piece.records - 1
        if piece.error:
            errors.write(_malformed(piece, piece.error))
            continue
        shifts = b"%d%b%d%b%d" % (
            piece.number - placed,
            grammar.delimiter,
            piece.line - placed,
            grammar.delimiter,
            placed + 1,
        )
        records.write(shifts + grammar.delimiter + _joined(piece, between) + b"\n")
        placed += piece.records
    records.flush()
    errors.flush()
    return Counts(last, blank_lines)


def _joined(piece: Piece, between: bytes) -> bytes:
    return (
        piece.text if piece.records == 1 and not piece.text.endswith(b"\n") else piece.text[:-1].replace(b"\n", between)
    )


def _malformed(piece: Piece, error: str) -> bytes:
    """Return the line of the spool; bytes that are not UTF-8 are shown as Python shows them, as a backslash and hex."""
    text = piece.text.decode("utf-8", "backslashreplace").replace('"', '""')
    return f'{piece.number},{piece.line},{error},{piece.cells},"{text}"\n'.encode()


def _check_sizes(source: Source, piece: Piece, grammar: Grammar, limits: Limits) -> None:
    if len(piece.text) <= limits.max_field_bytes:
        return
    for at, text in enumerate(piece.text.split(b"\n") if piece.records > 1 else [piece.text]):
        if len(text) > limits.max_record_bytes:
            raise SourceRefused(
                f"{source.path}:{piece.line + at}: a record of {len(text)} bytes, the limit is "
                f"{limits.max_record_bytes}; look for a quote that is never closed, or raise [source] max_record_bytes"
            )
        if len(text) > limits.max_field_bytes and not piece.error:
            largest = max(map(len, split_cells(text.removesuffix(b"\n"), grammar)))
            if largest > limits.max_field_bytes:
                raise SourceRefused(
                    f"{source.path}:{piece.line + at}: a cell of {largest} bytes, the limit is "
                    f"{limits.max_field_bytes}; shorten it, or raise [source] max_field_bytes in etl.toml"
                )
