"""Tells many well-formed records at once from what may not be, by what stands outside their quotes."""

from loader.grammar import Grammar

# A line break within a cell, where records stand as one text. No text in UTF-8 has this byte.
CELL_BREAK = b"\xff"
# Of this many bytes all records are well-formed, or they are looked at one by one.
LOOK_BYTES = 1 << 14
_MOST_CUTS = 8


class Outside:
    """What may stand outside the quotes of well-formed records of one delimiter and one width.

    A blank line is no record, and in a file of one column it has the delimiters of one: there nothing is told.
    """

    def __init__(self, grammar: Grammar) -> None:
        self._usable = grammar.width > 1
        self._signs = grammar.delimiter * (grammar.width - 1) + b"\n"
        self._others = bytes(set(range(256)) - set(grammar.delimiter + b"\n"))
        self._before = {b"", grammar.delimiter, b"\n"}
        self._after = self._before | {b"\r"}

    def begins_with(self, text: bytes) -> tuple[bytes, int]:
        """Return `joined_records` of all that ends within `text`, and their size in it; nothing where one may be wrong.

        `text` begins as a record does. Between quotes anything may stand, so it is enough that each quote but a doubled
        one is at an end of its cell, and that outside of them each line has its delimiters and a CR only at its end.
        """
        parts = _whole_lines(text) if self._usable else []
        outside = b"".join(parts[::2])
        signs = outside.translate(None, self._others)
        if (
            signs != self._signs * (len(signs) // len(self._signs))
            or not self._before.issuperset([part[-1:] for part in parts[:-1:2]])
            or not self._after.issuperset([part[:1] for part in parts[2::2]])
            or (b"\r" in outside and outside.count(b"\r") != outside.count(b"\r\n"))
        ):
            return b"", 0
        size = sum(map(len, parts)) + max(0, len(parts) - 1)
        return _joined(parts), size


def joined_records(text: bytes) -> bytes:
    """Return well-formed records, each ended, with LF as the end of each and `CELL_BREAK` for the LF in their cells."""
    return _joined(text.split(b'"'))


def separate_records(joined: bytes) -> list[bytes]:
    """Return the records of `joined_records` one by one, as they stand in the file, without their line ends."""
    return [record.replace(CELL_BREAK, b"\n") for record in joined.split(b"\n")[:-1]]


def _whole_lines(text: bytes) -> list[bytes]:
    """Return `text` up to its last line break outside of quotes, split at the quotes; nothing where there is none."""
    end = len(text)
    for _ in range(_MOST_CUTS):
        end = text.rfind(b"\n", 0, end)
        parts = text[: end + 1].split(b'"')
        if len(parts) % 2:
            return parts if end >= 0 else []
    return []


def _joined(parts: list[bytes]) -> bytes:
    if any(b"\n" in part for part in parts[1::2]):
        parts[1::2] = [part.replace(b"\n", CELL_BREAK) for part in parts[1::2]]
    if any(b"\r" in part for part in parts[::2]):
        parts[::2] = [part.replace(b"\r\n", b"\n") for part in parts[::2]]
    return b'"'.join(parts)
