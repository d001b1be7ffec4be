"""The strict scan: what Python's csv module wrote comes back, anything else is an error, as a slow reader agrees."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.config import ROOT
from loader.landing.scan import PIECE_BYTES, joined_records, read_header, separate_records
from tests.unit.scanning import cells_of, scanned

SIGNS = st.sampled_from('",\r\n ;\t=\\\ufeff\u0085\u2028')
CHARACTERS = st.one_of(SIGNS, st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
CELLS = st.text(CHARACTERS, max_size=6)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=5)
)
QUOTING = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
LINE_ENDS = st.sampled_from(["\n", "\r\n"])
MUTATIONS = st.lists(
    st.tuples(st.sampled_from(["drop", "double", "insert"]), st.sampled_from(b'",\n\r'), st.integers(0, 60)),
    min_size=1,
    max_size=3,
)


def written(table: list[list[str]], quoting: int, line_end: str) -> bytes:
    """Write the table; csv leaves a lone carriage return unquoted when lines end in LF, which RFC 4180 forbids."""
    if line_end == "\n" and any("\r" in cell for row in table for cell in row):
        quoting = csv.QUOTE_ALL
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=line_end).writerows(table)
    return text.getvalue().encode()


def mutated(data: bytes, kind: str, sign: int, at: int) -> bytes:
    places = [index for index, byte in enumerate(data) if byte == sign]
    if kind == "insert":
        at %= len(data) + 1
        return data[:at] + bytes([sign]) + data[at:]
    if not places:
        return data
    at = places[at % len(places)]
    return data[:at] + bytes([sign]) * (2 if kind == "double" else 0) + data[at + 1 :]


BETWEEN = {b",": "start", b"\n": "start", b"\r\n": "start"}
NEXT_STATE = {  # by sign, None for any other; a sign without a next state is malformed
    "start": {**BETWEEN, b'"': "quoted", b"\r": "", None: "plain"},
    "plain": {**BETWEEN, b'"': "", b"\r": "", None: "plain"},
    "quoted": {b'"': "closed", None: "quoted"},
    "closed": {**BETWEEN, b'"': "quoted", None: ""},
}


def read_slowly(data: bytes) -> list[tuple[int, list[bytes]]] | None:
    """Return line and cells of every record, sign after sign as RFC 4180 has it; None when one is malformed."""
    rows, cells, cell, state, line, begun, at = [], [], b"", "start", 1, 1, 0
    while at < len(data):
        sign = b"\r\n" if state != "quoted" and data[at : at + 2] == b"\r\n" else data[at : at + 1]
        at, line = at + len(sign), line + sign.count(b"\n")
        before, state = state, NEXT_STATE[state].get(sign, NEXT_STATE[state][None])
        if not state:
            return None
        if state == "start":
            cells, cell = [*cells, cell], b""
            if sign != b",":
                rows.append((begun, cells))
                cells, begun = [], line
        elif state == "plain" or (state == "quoted" and before != "start"):
            cell += sign
    if state == "quoted":
        return None
    return [*rows, (begun, [*cells, cell])] if cells or state != "start" else rows


@given(TABLES, QUOTING, LINE_ENDS, st.booleans())
def test_what_csv_wrote_is_scanned_to_its_cells(
    table: list[list[str]], quoting: int, line_end: str, last_line_end: bool
):
    data = written(table, quoting, line_end)
    if not last_line_end:
        data = data.removesuffix(line_end.encode())
    width = len(table[0])
    records = scanned(data, width)
    assert [record.error for record in records] == [None] * len(table)
    assert [[cell.decode() for cell in cells_of(record)] for record in records] == table
    assert [record.number for record in records] == list(range(1, len(table) + 1))
    assert [record.cells for record in records] == [width] * len(table)


@settings(max_examples=400)
@given(TABLES, QUOTING, LINE_ENDS, MUTATIONS)
def test_a_damaged_table_is_scanned_as_the_slow_reader_reads_it(
    table: list[list[str]], quoting: int, line_end: str, mutations: list[tuple[str, int, int]]
):
    data, width = written(table, quoting, line_end), len(table[0])
    for kind, sign, at in mutations:
        data = mutated(data, kind, sign, at)
    records, rows = scanned(data, width), read_slowly(data)
    if rows is not None:
        blank = {line for line, row in rows if data.split(b"\n")[line - 1].rstrip(b"\r") == b"" and row == [b""]}
        assert {record.line for record in records if not record.cells} == blank
        rows = [(line, row) for line, row in rows if line not in blank]
    if rows is None or any(len(row) != width for _, row in rows):
        assert any(record.error for record in records)
    else:
        found = [record for record in records if record.cells]
        assert [record.error for record in found] == [None] * len(found)
        assert [(record.line, cells_of(record)) for record in found] == rows


@settings(max_examples=400)
@given(
    st.lists(st.sampled_from([b'"', b",", b"\r", b"\n", b"\r\n", b"a", "é".encode()]), max_size=14), st.integers(1, 3)
)
def test_no_line_is_lost_or_read_twice(pieces: list[bytes], width: int):
    data = b"".join(pieces)
    lines, next_line = data.split(b"\n"), 1
    for record in scanned(data, width):
        assert record.line == next_line
        text = b"\n".join(lines[record.line - 1 :])
        assert text.startswith(record.text)
        next_line = record.line + record.text.count(b"\n") + 1
    assert b"\n".join(lines[next_line - 1 :]) == b""


@pytest.mark.parametrize(
    ("data", "error", "cells", "text"),
    [
        (b"a,b\n", "too_few_columns", 2, b"a,b"),
        (b'"a,b,c"\n', "too_few_columns", 1, b'"a,b,c"'),
        (b'""\n', "too_few_columns", 1, b'""'),
        (b"a,b,c,d\n", "too_many_columns", 4, b"a,b,c,d"),
        (b"a,b,c,\r\n", "too_many_columns", 4, b"a,b,c,"),
        (b'a,b"b,c\n', "bare_quote", 2, b'a,b"b,c'),
        (b'a, "b",c\r\n', "bare_quote", 2, b'a, "b",c'),
        (b'"a"x,b,c\n', "not_quoted_to_the_end", 1, b'"a"x,b,c'),
        (b'a,b,"c" \n', "not_quoted_to_the_end", 3, b'a,b,"c" '),
        (b'a,"b\nb"x,c\n', "not_quoted_to_the_end", 2, b'a,"b\nb"x,c'),
        (b'a,"b,c\n', "unterminated_quote", 2, b'a,"b,c'),
        (b'a,b,"c""', "unterminated_quote", 3, b'a,b,"c""'),
        (b"a,b\rb,c\n", "bare_carriage_return", 2, b"a,b\rb,c"),
        (b"a,b,c\r", "bare_carriage_return", 3, b"a,b,c\r"),
    ],
)
def test_each_error_is_named_with_its_cell_and_text(data: bytes, error: str, cells: int, text: bytes):
    (record,) = scanned(data, 3)
    assert (record.error, record.cells, record.text, record.line) == (error, cells, text, 1)


def test_after_a_bad_record_the_scan_goes_on_at_the_next_line():
    data = b'a,b\n1,"x\ny"\nz\n\n2,p"q\n3,"r\ns"t\n4,ok\r\n5,"never\n6,end'
    assert [(record.number, record.line, record.error) for record in scanned(data, 2, start=4)] == [
        (1, 2, None),
        (2, 4, "too_few_columns"),
        (0, 5, None),
        (3, 6, "bare_quote"),
        (4, 7, "not_quoted_to_the_end"),
        (5, 9, None),
        (6, 10, "unterminated_quote"),
        (7, 11, None),
    ]


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"\n\n\r\n"])
def test_blank_lines_are_counted_in_lines_and_not_in_records(blank: bytes):
    records = scanned(b"a,b\n" + blank + b"c,d", 2)
    assert [(record.number, record.text) for record in records if record.cells] == [(1, b"a,b"), (2, b"c,d")]
    assert records[-1].line == 2 + blank.count(b"\n")
    assert [record.error for record in records] == [None] * len(records)


def test_the_header_is_read_by_the_same_grammar():
    assert read_header(b'a,"b ""c""\nd"\r\nnext', b",") == ([b"a", b'b "c"\nd'], 15)
    assert read_header(b'a,b"c\nnext', b",") == (None, 0)
    assert read_header(b'a,"b\nnext', b",") == (None, 0)


@pytest.mark.parametrize("record", [b"a", b"a,b,c", b'a"', b'"a"b', b'"a', b"a\rb"])
def test_every_error_has_a_meaning_and_a_remedy(record: bytes):
    with (ROOT / "data" / "reference" / "issue_codes.csv").open(encoding="utf-8", newline="") as file:
        meanings = {row["code"]: row for row in csv.DictReader(file)}
    (bad,) = scanned(record, 2)
    assert bad.error in meanings
    assert meanings[bad.error]["severity"] == "error"
    assert meanings[bad.error]["how_to_fix"]


def test_blank_lines_behind_a_bad_byte_are_blank_lines():
    """They are more than are looked at at once for bytes that are not UTF-8."""
    records = scanned(b"a,\xff\n" + b"\n" * 200_000 + b"b,c\n", 2, is_utf8=False, window=1 << 20)
    assert (records[0].error, len(records)) == ("not_utf8", 200_002)
    assert (records[-1].line, records[-1].error) == (200_002, None)


@given(st.lists(st.tuples(*[st.sampled_from([b"", b"a", b'"a\n"', b'"\r\n"', b'""""', b'","'])] * 2), min_size=1))
def test_joined_records_are_told_apart_again(rows: list[tuple[bytes, bytes]]):
    joined = joined_records(b"".join(b",".join(row) + b"\r\n" for row in rows))
    assert separate_records(joined) == [b",".join(row) for row in rows]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_records_are_the_same_wherever_a_piece_ends(line_end: bytes):
    """Cells of all lengths, so that pieces end within quotes, between a CR and its LF, and within a long cell."""
    cells = [b"t" * length for length in range(0, 2 * PIECE_BYTES, 997)]
    records = [b'%b,"a,""%b""%bb"' % (cell, cell, line_end) for cell in cells]
    found = scanned(b"".join(record + line_end for record in records), 2, window=1 << 22)
    assert [(record.text, record.error) for record in found] == [(record, None) for record in records]
