"""Files as Python's csv writes them, and single mutations of them; what is drawn, from what, is up to the caller."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.pipeline.reference_reader import BYTE_ORDER_MARK, is_utf8, read_record

REQUIRED, OPTIONAL, OTHERS = ["ref", "title"], ["place"], ["zeta", "an, other"]
PIECES = [
    "",
    "a",
    "b,c",
    '"',
    '""',
    "\n",
    "\r\n",
    "\r",
    ",",
    " ",
    "é",
    "\U0001f600",
    "NULL",
    "0",
    "x\ny,z\n",
    ";",
    "\t",
]
PLAIN = ["a", "é", " ", "NULL", "0", ";", "\t"]  # csv leaves them unquoted when it may
QUOTING = [csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]
LINE_ENDS = ["\n", "\r\n"]
SIGNS = [b'"', b",", b"\n", b"\r\n", b"\r", b"", b"\0", b"\xff", b"\xc3", b"\x80", b" ", b"\x1a", b"x"]
KINDS = ["drop", "double", "insert", "replace"]
Draw = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True)
class Mutation:
    """`data[start:end]` gives way to `text`."""

    start: int
    end: int
    text: bytes

    def of(self, data: bytes) -> bytes:
        return data[: self.start] + self.text + data[self.end :]


def some_table(draw: Draw) -> list[list[str]]:
    """Return a header, in any order, and one to four records; one file in eight has one column."""
    names = REQUIRED[:1]
    if draw(range(8)):
        names = REQUIRED + [name for name in OPTIONAL + OTHERS if draw([True, False])]
    names = sorted(names, key=lambda _: draw(range(100)))
    pieces = draw([PIECES, PLAIN])
    return [names, *[["".join(some_pieces(draw, pieces)) for _ in names] for _ in range(draw(range(1, 5)))]]


def some_pieces(draw: Draw, pieces: list[str]) -> list[str]:
    return [draw(pieces) for _ in range(draw(range(4)))]


def some_file(draw: Draw, table: list[list[str]]) -> bytes:
    """Write the table; csv leaves a lone carriage return unquoted when lines end in LF, which RFC 4180 forbids."""
    end = draw(LINE_ENDS)
    bare = end == "\n" and any("\r" in cell for row in table for cell in row)
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL if bare else draw(QUOTING), lineterminator=end).writerows(table)
    data = text.getvalue().encode()
    data = data.removesuffix(end.encode()) if draw([True, False, False]) else data
    return BYTE_ORDER_MARK + data if draw([True, False, False]) else data


def some_mutation(draw: Draw, data: bytes) -> Mutation:
    """Return one that changes the data; the empty sign stands for any byte."""
    kind, sign = draw(KINDS), draw(SIGNS)
    if kind == "insert":
        at = draw(range(len(data) + 1))
        return Mutation(at, at, sign or bytes([draw(range(256))]))
    if kind == "replace":
        at = draw(range(len(data)))
        return Mutation(
            at, at + 1, sign if sign and sign != data[at : at + 1] else bytes([data[at] ^ draw(range(1, 256))])
        )
    found = [at for at in range(len(data)) if data.startswith(sign, at)]
    size = len(sign) if found and sign else 1
    at = draw(found or range(len(data)))
    return Mutation(at, at + size, data[at : at + size] * (2 if kind == "double" else 0))


def names_its_columns(data: bytes, text: bytes) -> bool:
    """Return whether the header of the mutated text has the columns it needs, no name twice, no known one misspelt."""
    names = read_record(text, 0).cells
    if names is None or not is_utf8(b",".join(names)) or len(set(names)) < len(names):
        return False
    known, found = (*REQUIRED[: width_of(data)], *OPTIONAL), [name.decode() for name in names]
    alike = {"".join(filter(str.isalnum, name.casefold())) for name in found if name not in known}
    return set(REQUIRED[: width_of(data)]) <= set(found) and not {name for name in known if name not in found} & alike


def has_a_record(text: bytes) -> bool:
    after = text[read_record(text, 0).end :]
    return bool(after.replace(b"\r\n", b"\n").strip(b"\n"))


def width_of(data: bytes) -> int:
    return len(read_record(data.removeprefix(BYTE_ORDER_MARK), 0).cells or [])
