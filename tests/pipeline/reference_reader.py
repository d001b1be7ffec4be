"""A second reader of RFC 4180, sign after sign and without a pattern, to hold the strict scan against.

It shares no code with `loader.landing.scan`. It is slow and meant to be read next to the RFC, section 2.
"""

from dataclasses import dataclass
from enum import Enum, auto

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
COMMA, QUOTE, RETURN, FEED = b',"\r\n'


class State(Enum):
    """Where in a cell the reader stands."""

    START = auto()
    PLAIN = auto()
    QUOTED = auto()
    CLOSED = auto()


@dataclass(frozen=True)
class Reading:
    """One record: its cells, None when it is malformed, and the offset after its line end.

    A malformed record ends with the line of the sign that breaks the grammar, or of the quote that is never closed.
    """

    cells: list[bytes] | None
    end: int


def read(data: bytes) -> list[list[bytes]] | None:
    """Return the header and the records of a file's bytes; None when it is malformed in any place.

    Malformed is also a record whose width is not the header's, and text that is not UTF-8. Blank lines are skipped,
    in a file of one column too: an empty cell is written as a pair of quotes there.
    """
    data = data.removeprefix(BYTE_ORDER_MARK)
    header = read_record(data, 0)
    if header.cells is None or not is_utf8(data):
        return None
    rows, at = [header.cells], header.end
    while at < len(data):
        if blank := line_end(data, at):
            at += blank
            continue
        record = read_record(data, at)
        if record.cells is None or len(record.cells) != len(header.cells):
            return None
        rows.append(record.cells)
        at = record.end
    return rows


def read_record(data: bytes, at: int) -> Reading:
    """Return the record that begins at the offset `at`."""
    cells, cell, state, opened = [], bytearray(), State.START, at
    while True:
        end = line_end(data, at)
        if state is not State.QUOTED and (end or at == len(data)):
            return Reading([*cells, bytes(cell)], at + end)
        if at == len(data):
            return Reading(None, end_of_line(data, opened))
        sign, before = data[at], state
        state = next_state(before, sign)
        if state is None:
            return Reading(None, end_of_line(data, at))
        if state is State.START:
            cells, cell = [*cells, bytes(cell)], bytearray()
        elif before is State.START and state is State.QUOTED:
            opened = at
        elif state is not State.CLOSED:
            cell.append(sign)
        at += 1


def next_state(state: State, sign: int) -> State | None:
    """Return the state after one sign that is not a line end outside quotes; None when the grammar has no such sign."""
    if state is State.QUOTED:
        return State.CLOSED if sign == QUOTE else State.QUOTED
    if sign == COMMA:
        return State.START
    if state is State.CLOSED:
        return State.QUOTED if sign == QUOTE else None
    if sign == QUOTE:
        return State.QUOTED if state is State.START else None
    return None if sign == RETURN else State.PLAIN


def line_end(data: bytes, at: int) -> int:
    """Return the length of the line end at `at`: 2 for CRLF, 1 for LF, 0 for anything else."""
    if data[at : at + 1] == b"\n":
        return 1
    return 2 if data[at : at + 2] == b"\r\n" else 0


def end_of_line(data: bytes, at: int) -> int:
    """Return the offset after the next LF, or the end of the data."""
    found = data.find(b"\n", at)
    return len(data) if found < 0 else found + 1


def is_utf8(data: bytes) -> bool:
    """Return whether the bytes are UTF-8 throughout."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
