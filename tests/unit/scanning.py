"""The records of a scan one by one, as the tests compare them."""

from collections.abc import Iterator
from dataclasses import dataclass

from loader.landing.scan import Grammar, Piece, scan, separate_records, split_cells


@dataclass(frozen=True)
class Record:
    """One record of a piece, or one blank line as number 0."""

    number: int
    line: int
    text: bytes
    cells: int
    error: str | None


def scanned(
    data: bytes, width: int, start: int = 0, delimiter: bytes = b",", *, window: int = 64, is_utf8: bool = True
) -> list[Record]:
    """Return the records of all pieces, one by one; the window is small, so that pieces end in the middle."""
    grammar = Grammar(delimiter, width)
    return [record for piece in scan(data, start, grammar, window, is_utf8=is_utf8) for record in records_of(piece)]


def records_of(piece: Piece) -> Iterator[Record]:
    if not piece.records:
        for at in range(piece.lines):
            yield Record(0, piece.line + at, b"", 0, None)
    line = piece.line
    texts = [piece.text] if piece.error else separate_records(piece.text)
    assert len(texts) == piece.records or not piece.records
    for number, text in enumerate(texts, piece.number):
        yield Record(number, line, text, piece.cells, piece.error)
        line += 1 + text.count(b"\n")


def cells_of(record: Record) -> list[bytes]:
    return split_cells(record.text, Grammar(b",", 2))
