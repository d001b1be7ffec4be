"""Landing: every cell arrives byte for byte, every record is a row, and what cannot be trusted is refused."""

import csv
import io
import json
import os
import sys
import tempfile
import traceback
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loader.errors import SourceRefused
from tests.pipeline.landing import NAMES, cells, landed

TEXTS = ["", " ", "NULL", "null", "\\N", "NaN", "001", "1e5", "5%", "true", "2026-01-01", "'", "''", " led", "trailed "]
SIGNS = ['"', '""', ",", "\r\n", "\n", "\r", "null,\r\n", '"quoted"', "a\\", "\\n", "; x", "\t", "#x", "%s", "$1"]
FORMULAS = [
    "=1+1",
    "@SUM(A1)",
    "-1",
    "+1",
    "{{ x }}",
    "e\u0301",
    "\U0001f600",
    "\u00a0",
    "\ufeff",
    "\u2028",
    "\x01",
    "\x7f",
]
VALUES = st.sampled_from([*TEXTS, *SIGNS, *FORMULAS])
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
CELLS = st.one_of(VALUES, st.text(CHARACTERS, max_size=12), st.lists(VALUES, max_size=4).map("".join))
TABLES = st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6)
BAD = ["x,y", "x,y,z,extra", 'x,y"y,z', '"x"y,y,z', 'x,"y', "x,y\ry,z"]


def written(rows: list[list[str]], line_end: str = "\n") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=line_end).writerows(rows)
    return text.getvalue().encode()


@settings(max_examples=60)
@given(TABLES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
@example([["\\x01no such text\\x01", "NULL", "\x01no such text\x01"]], "\n", False, False)
def test_cells_land_byte_for_byte(table: list[list[str]], line_end: str, mark: bool, last_line_end: bool):
    data = (b"\xef\xbb\xbf" if mark else b"") + written([NAMES, *table], line_end)
    rows = landed(data if last_line_end else data.removesuffix(line_end.encode()))
    assert [cells(row) for row in rows] == table
    assert [row["record_number"] for row in rows] == list(range(1, len(table) + 1))
    assert {row["parse_error"] for row in rows} == {None}
    assert {row["raw_record"] for row in rows} == {None}
    assert {(row["source_records"], row["cell_count"]) for row in rows} == {(len(table), 3)}


@settings(max_examples=30)
@given(st.lists(CELLS.filter(lambda cell: not set(cell) & set('",\r\n') and cell), min_size=3, max_size=3))
def test_unquoted_cells_land_byte_for_byte(record: list[str]):
    (row,) = landed(",".join(NAMES) + "\n" + ",".join(record))
    assert cells(row) == record


@settings(max_examples=40)
@given(TABLES, st.permutations([0, 1, 2]))
def test_the_order_of_the_columns_and_the_quoting_do_not_change_the_cells(table: list[list[str]], order: list[int]):
    rows = landed(written([[row[at] for at in order] for row in [NAMES, *table]], "\r\n"), "another name.csv")
    assert [cells(row) for row in rows] == table


@settings(max_examples=40)
@given(TABLES, st.lists(st.tuples(st.integers(0, 5), st.sampled_from(BAD)), min_size=1, max_size=3))
def test_a_malformed_record_is_a_row_and_the_others_land(table: list[list[str]], damages: list[tuple[int, str]]):
    lines = [written([row], "\n").decode() for row in table]
    unclosed = False
    for at, bad in damages:
        if not unclosed or bad != 'x,"y':  # an opened quote reaches the next one; one of them, as the last line
            lines.insert(len(lines) if bad == 'x,"y' else min(at, len(lines) - unclosed), bad + "\n")
        unclosed = unclosed or bad == 'x,"y'
    rows = landed(",".join(NAMES) + "\n" + "".join(lines))
    assert [cells(row) for row in rows if row["parse_error"] is None] == table
    bad = [row for row in rows if row["parse_error"]]
    assert [row["raw_record"] + "\n" for row in bad] == [line for line in lines if line.removesuffix("\n") in BAD]
    assert all(cells(row) == [None] * 3 and row["other_cells"] is None for row in bad)


def test_a_malformed_record_names_its_error_its_line_and_its_cells():
    rows = landed('ref,title,place\nA,"x\ny",z\n\nB,only\nC,t,p\nD,"t,p\n')
    assert [(row["record_number"], row["line_number"], row["parse_error"], row["cell_count"]) for row in rows] == [
        (1, 2, None, 3),
        (2, 5, "too_few_columns", 2),
        (3, 6, None, 3),
        (4, 7, "unterminated_quote", 2),
    ]
    assert {(row["source_records"], row["source_blank_lines"]) for row in rows} == {(4, 1)}


def test_a_record_of_many_bytes_that_are_not_utf8_is_a_row():
    bad = b"\xff" * 2_100_000
    good, damaged = landed("ref,title\nR,\u00e9\n".encode() + b"S," + bad + b"\n")
    assert (good["title"], good["parse_error"]) == ("\u00e9", None)
    assert (damaged["parse_error"], damaged["raw_record"]) == ("not_utf8", "S," + "\\xff" * len(bad))


def test_unknown_columns_are_kept_in_the_order_of_their_names():
    (row,) = landed('zeta,ref,owner,title,"a ""b"" {c}"\nz,R,o,T,"1\n2"\n')
    assert json.loads(row["source_columns"]) == ["zeta", "ref", "owner", "title", 'a "b" {c}']
    assert row["other_cells"] == ["1\n2", "o", "z"]
    assert cells(row) == ["R", "T", None]


def test_a_column_without_a_name_is_one_that_is_not_known():
    (row,) = landed("ref,title,,\nR,T,,x\n")
    assert json.loads(row["source_columns"]) == ["ref", "title", "column 3", "column 4"]
    assert (cells(row), row["other_cells"]) == (["R", "T", None], ["", "x"])


def test_a_missing_column_is_not_an_empty_one():
    (missing,), (empty,) = landed("ref,title\nR,T\n"), landed("ref,title,place\nR,T,\n")
    assert (missing["place"], empty["place"]) == (None, "")
    assert missing["other_cells"] == empty["other_cells"] == []


def test_names_of_columns_are_taken_literally():
    with pytest.raises(SourceRefused, match="lacks 'title'"):
        landed("ref,Title,place\nR,T,P\n")
    with pytest.raises(SourceRefused, match="more than once"):
        landed("ref,title,x,x\nR,T,1,2\n")
    (row,) = landed("title, ref,record_number,ref\nT,a,9,R\n")
    assert (row["ref"], row["record_number"], row["other_cells"]) == ("R", 1, ["a", "9"])


QUOTES = ["it's.csv", 'a "b".csv', "two  spaces .csv", "line\nbreak.csv", "a;drop table x--.csv", "\\back.csv", "-rf"]
PATTERNS = ["{{ 1 + 1 }}.csv", "{% raw %}.csv", "*.csv", "?", "[a-z].csv", "x.csv.gz", "é\U0001f600.csv", "%s{0}$1.csv"]


@pytest.mark.parametrize("name", [*QUOTES, *PATTERNS])
def test_the_name_of_the_file_is_taken_literally(name: str, tmp_path: Path):
    (tmp_path / "decoy.csv").write_text("ref,title\nDECOY,T\n")
    (row,) = landed("ref,title\nR,T\n", name, tmp_path)
    assert row["ref"] == "R"
    assert row["source_file"] == str(tmp_path / name)


def test_many_short_pieces_keep_their_numbers():
    kinds = [
        "R,T,P",
        'S,"two\nlines",P',
        "",
        "short,one",
        'U,"a ""b""",P',
        "V,T,P",
        "W,T,P\r",
        'X,b"c,d',
        'Y,"a\n\nb","c\nd"',
    ]
    lines = [kinds[at * 7 % 9] for at in range(450)]
    rows = landed("ref,title,place\n" + "\n".join(lines))
    expected, line = [], 2
    for text in lines:
        if text:
            expected.append((line, text[0] if "," in text and text[0] != "s" and 'b"c' not in text else None))
        line += text.count("\n") + 1
    assert [(row["line_number"], row["ref"]) for row in rows] == expected
    assert [row["record_number"] for row in rows] == list(range(1, len(expected) + 1))


def test_a_file_that_takes_several_spools_lands_in_its_order():
    kinds = ["{at},T,P", '{at},"two\nlines",P', "short,one", '{at},"' + "long " * 200 + '",P']
    lines = [kinds[at % 7 % 4].replace("{at}", str(at)) for at in range(120_000)]
    rows = landed("ref,title,place\n" + "\n".join(lines), ordered=False)
    refs = [row["ref"] for row in rows if not row["parse_error"]]
    assert refs == [text.split(",")[0] for text in lines if text != "short,one"]
    starts = accumulate((1 + text.count("\n") for text in lines), initial=2)
    found = sorted((row["record_number"], row["line_number"]) for row in rows)
    assert found == list(zip(range(1, 120_001), starts, strict=False))


def test_a_file_without_a_record_is_refused():
    with pytest.raises(SourceRefused, match="no record"):
        landed("ref,title\n\n\r\n")


def test_a_refusal_shows_its_line_alone_and_changes_no_setting_of_python():
    """Dbt prints an error of a Python model as `traceback` does."""
    limit = getattr(sys, "tracebacklimit", None)
    with pytest.raises(SourceRefused, match="no record") as refused:
        landed("ref,title\n")
    assert traceback.format_exception(refused.value) == [f"loader.errors.SourceRefused: {refused.value}\n"]
    assert getattr(sys, "tracebacklimit", None) == limit


def test_nothing_of_a_landed_file_stays_open(tmp_path: Path):
    """A file is read after `land` has returned; later nobody needs it."""

    def still_open() -> list[str]:
        names = [os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()]
        return [name for name in names if name.startswith(tempfile.gettempdir())]

    before = still_open()
    assert len(landed("ref,title\nR,T\n", folder=tmp_path)) == 1
    assert still_open() == before
