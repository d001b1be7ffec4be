"""Writes what the scan finds into two spools that DuckDB reads: the well-formed records, and the malformed ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import MADV_DONTNEED
from typing import BinaryIO

from loader.config import Limits
from loader.errors import SourceRefused
from loader.scan import Grammar, Piece, scan, split_cells
from loader.source import Source

# How much of the mapped file may stay in memory; the kernel would keep all of it while there is room.
_HELD_BYTES = 1 << 26


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
    for piece in _released(source, scan(source.data, start, grammar, limits.max_record_bytes, is_utf8=source.is_utf8)):
        if piece.records == 0:
            blank_lines += piece.text.count(b"\n")
            continue
        _check_sizes(source, piece, grammar, limits)
        last = piece.number + piece.records - 1
        if piece.error:
            errors.write(_malformed(piece, piece.error))
        else:
            records.write(_numbered(piece, placed, grammar.delimiter))
            placed += piece.records
    records.flush()
    errors.flush()
    return Counts(last, blank_lines)


def _released(source: Source, pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Pass the pieces on, and give back the memory of the mapped file that has been read."""
    held = 0
    for piece in pieces:
        yield piece
        held += len(piece.text)
        if held > _HELD_BYTES:
            source.data.madvise(MADV_DONTNEED)
            held = 0


def _numbered(piece: Piece, placed: int, delimiter: bytes) -> bytes:
    first = b"%d,%d,%d," % (piece.number - placed, piece.line - placed, placed + 1)
    text = piece.text
    if piece.records > 1 or text.endswith(b"\n"):
        text = text[:-1].replace(b"\n", b"\n0,0,0,".replace(b",", delimiter))
    return first.replace(b",", delimiter) + text + b"\n"


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
