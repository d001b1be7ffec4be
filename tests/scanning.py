"""The records of a scan one by one, as the tests compare them."""

from collections.abc import Iterator
from dataclasses import dataclass

from loader.scan import Grammar, Piece, scan, split_cells


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
    if piece.records == 0:
        for at, text in enumerate(piece.text.split(b"\n")[:-1]):
            yield Record(0, piece.line + at, text.removesuffix(b"\r"), 0, None)
    elif piece.error:
        assert piece.records == 1
        yield Record(piece.number, piece.line, piece.text, piece.cells, piece.error)
    else:
        texts, line = piece.texts(), piece.line
        assert len(texts) == piece.records
        for at, text in enumerate(texts):
            yield Record(piece.number + at, line, text, piece.cells, None)
            line += 1 + text.count(b"\n")


def cells_of(record: Record) -> list[bytes]:
    return split_cells(record.text, Grammar(b",", 2))
