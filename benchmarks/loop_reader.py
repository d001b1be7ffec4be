"""The records of a file, each held against RFC 4180 before `csv` sees it, and what a first reading of them finds."""

import csv
from array import array
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import BinaryIO

from benchmarks.loop_text import NUMBER, WHITE, folded_key
from loader.landing.scan import Grammar, scan

BLANK_LINES = (b"\n", b"\r\n")


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that is not RFC 4180, not as wide as the header or not UTF-8; `line` is where it begins."""

    number: int
    line: int
    code: str
    cells: int
    text: str


class Records:
    """Iterates over the texts of the header and of the well-formed records, as `csv.DictReader` takes them.

    A record ends with the first line up to which its quotes are even in number. When such a text is no record, the
    strict scan says what breaks it and where it ends, and the lines after that are read again. `number` (from 1) and
    `line` are those of the record that was given last. A second reading is told what the first one has found in
    `known`, and does not look again.
    """

    def __init__(
        self, file: BinaryIO, found: Callable[[Malformed], None], known: dict[int, Malformed] | None = None
    ) -> None:
        self.file, self.found, self.known = file, found, known
        self.number, self.line, self.columns = 0, 1, list[str]()

    def __iter__(self) -> Iterator[str]:
        again = deque[bytes]()
        texts = self._texts(again)
        header = next(texts).removeprefix(BOM_UTF8).decode()
        self.columns = next(csv.reader([header]))
        grammar, next_line = Grammar(b",", len(self.columns)), 1 + header.count("\n")
        yield header
        for text in texts:
            self.line = next_line
            next_line += text.count(b"\n")
            if text in BLANK_LINES:
                continue
            self.number += 1
            malformed = self._malformed(text, grammar) if self.known is None else self.known.get(self.number)
            if malformed is None:
                yield text.decode()
                continue
            self.found(malformed)
            taken = malformed.text.count("\n") + 1
            rest = b"".join(text.split(b"\n", taken)[taken:])
            next_line -= rest.count(b"\n")
            again.extendleft(reversed(BytesIO(rest).readlines()))

    def _texts(self, again: deque[bytes]) -> Iterator[bytes]:
        """Yield lines, joined while a quote is open; the lines in `again` come first."""
        while text := again.popleft() if again else self.file.readline():
            if text.count(b'"') % 2:
                lines = [text]
                while line := again.popleft() if again else self.file.readline():
                    lines.append(line)
                    if line.count(b'"') % 2:
                        break
                text = b"".join(lines)
            yield text

    def _malformed(self, text: bytes, grammar: Grammar) -> Malformed | None:
        if grammar.exact.fullmatch(text) and (text.isascii() or _is_utf8(text)):
            return None
        piece = next(scan(text, 0, grammar, len(text), is_utf8=False))
        shown = piece.text.decode("utf-8", "backslashreplace")
        return Malformed(self.number, self.line, str(piece.error), piece.cells, shown)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a record has in common with others, by lines of the file.

    `first_line` is the first record that is the same, `different` how many different records have its reference, and
    `rival_line` a record whose reference looks like it.
    """

    first_line: int
    different: int
    rival_line: int | None


class FirstReading:
    """What can be known only of the file as a whole; `hashes` and `repeats` count the well-formed records from 0."""

    def __init__(self, file: BinaryIO, key_column: str) -> None:
        self.malformed, self.hashes, self.repeats = dict[int, Malformed](), list[bytes](), dict[int, Repeat]()
        self._references, self._lines, self.zeros = list[str](), array("Q"), 0
        first, crowds = dict[str, int](), dict[int, list[int]]()
        records = Records(file, self._keep)
        reader = csv.reader(records)
        at = next(reader).index(key_column)
        for row, cells in enumerate(reader):
            reference = cells[at].strip(WHITE)
            if reference[:1] == "0" and NUMBER.fullmatch(reference):
                self.zeros = max(self.zeros, len(reference))
            self.hashes.append(sha256("\0".join(cells).encode()).digest())
            self._references.append(reference)
            self._lines.append(records.line)
            if reference and (earliest := first.setdefault(folded_key(reference), row)) != row:
                crowds.setdefault(earliest, [earliest]).append(row)
        for rows in crowds.values():
            self._compare(rows)

    def _keep(self, malformed: Malformed) -> None:
        self.malformed[malformed.number] = malformed

    def _compare(self, rows: list[int]) -> None:
        """Compare the records, in the order of the file, whose references look alike."""
        spellings: dict[str, dict[bytes, int]] = {}
        for row in rows:
            spellings.setdefault(self._references[row], {}).setdefault(self.hashes[row], self._lines[row])
        first_lines = [min(lines.values()) for lines in spellings.values()]
        for row in rows:
            lines = spellings[self._references[row]]
            rivals = [line for line in first_lines[:2] if line != min(lines.values())]
            self.repeats[row] = Repeat(lines[self.hashes[row]], len(lines), rivals[0] if rivals else None)
