"""Many records at once: what is taken so is what the grammar takes one by one, and nothing that it does not take."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.landing.scan import LOOK_BYTES, Grammar, Outside, joined_records, separate_records
from tests.unit.scanning import scanned

PIECES = st.lists(
    st.sampled_from([b'"', b'""', b'",', b',"', b'"\n', b",", b",", b"\r", b"\n", b"\r\n", b"a", b"%", "é".encode()]),
    max_size=16,
)


def one_by_one(text: bytes, grammar: Grammar) -> list[bytes]:
    """Return the records at the beginning of a text, each with its line end, as the pattern of one takes them."""
    records, position = [], 0
    while position < len(text) and (match := grammar.exact.match(text, position)) and match.group().endswith(b"\n"):
        records.append(match.group())
        position = match.end()
    return records


@settings(max_examples=1000)
@given(PIECES, st.integers(2, 3))
def test_what_is_taken_at_once_is_what_is_taken_one_by_one(pieces: list[bytes], width: int):
    text, grammar = b"".join(pieces), Grammar(b",", width)
    joined, size = Outside(grammar).begins_with(text)
    records = one_by_one(text, grammar)
    assert text[:size] == b"".join(records[: joined.count(b"\n")])
    assert separate_records(joined) == [record[:-1].removesuffix(b"\r") for record in records[: joined.count(b"\n")]]


@given(st.lists(st.tuples(*[st.sampled_from([b"", b"a", b'"a\n"', b'"\r\n"', b'""""', b'","'])] * 2), min_size=1))
def test_whole_records_are_all_taken_at_once(rows: list[tuple[bytes, bytes]]):
    text = b"".join(b",".join(row) + b"\r\n" for row in rows)
    joined, size = Outside(Grammar(b",", 2)).begins_with(text + b'"the next, "')
    assert size == len(text)
    assert joined == joined_records(text)
    assert separate_records(joined) == [b",".join(row) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"a,b",
        b"a\n",
        b"a,b,c\n",
        b"\na,b\n",
        b'a,"b\n',
        b'a,b"c"\n',
        b'a,"b"c\n',
        b'a,"b" \n',
        b"a\r,b\n",
        b'a,"b"\r\r\n',
        b"a,b\nc\nd,e\n",
    ],
)
def test_nothing_is_taken_at_once_where_anything_may_be_wrong(text: bytes):
    assert Outside(Grammar(b",", 2)).begins_with(text) == (b"", 0)


def test_a_line_of_one_column_is_looked_at_by_itself():
    """A blank line has the delimiters of one cell, and is no record."""
    assert Outside(Grammar(b",", 1)).begins_with(b"a\n\nb\n") == (b"", 0)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_records_are_the_same_wherever_a_look_ends(line_end: bytes):
    """Cells of all lengths, so that looks end within quotes, between a CR and its LF, and within a long cell."""
    cells = [b"t" * length for length in range(0, 2 * LOOK_BYTES, 997)]
    records = [b'%b,"a,""%b""%bb"' % (cell, cell, line_end) for cell in cells]
    found = scanned(b"".join(record + line_end for record in records), 2, window=1 << 22)
    assert [(record.text, record.error) for record in found] == [(record, None) for record in records]
