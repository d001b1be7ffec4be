"""Landing: every cell arrives byte for byte, every record is a row, and what cannot be trusted is refused."""

import csv
import hashlib
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loader.config import load_settings
from loader.errors import SourceRefused
from loader.landing import land
from tests.support import ROOT

LIMITS = load_settings().limits
NAMES = ["ref", "title", "place"]
CARD = """
    select * from (values ('incident', 'title', true, 2), ('incident', 'ref', true, 1), ('incident', 'place', false, 3),
        ('action', 'owner', true, 1)) as card (entity, source_column, is_required, field_position)
"""
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


@pytest.fixture(autouse=True)
def _traceback_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore what landing sets for dbt's sake when it refuses a file."""
    monkeypatch.setattr(sys, "tracebacklimit", 1000, raising=False)


def landed(data: bytes | str, name: str = "export.csv", folder: Path | None = None) -> list[dict[str, Any]]:
    """Land these bytes as a file of this name and return the rows in the order of the file."""
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        path = (folder or Path(temporary)) / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        patch.setenv("ETL_SOURCE", str(path))
        with duckdb.connect() as session:
            relation = land(session, session.sql(CARD), "raw_incident")
            rows = relation.order("record_number").fetchall()
            return [dict(zip(relation.columns, row, strict=True)) for row in rows]


def written(rows: list[list[str]], line_end: str = "\n") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=line_end).writerows(rows)
    return text.getvalue().encode()


def cells(row: dict[str, Any]) -> list[str | None]:
    return [row[name] for name in NAMES]


@settings(max_examples=60, deadline=None)
@given(TABLES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
@example([["\x01no such text\x01", "a", "b"]], "\n", False, False)
def test_cells_land_byte_for_byte(table: list[list[str]], line_end: str, mark: bool, last_line_end: bool):
    data = (b"\xef\xbb\xbf" if mark else b"") + written([NAMES, *table], line_end)
    rows = landed(data if last_line_end else data.removesuffix(line_end.encode()))
    assert [cells(row) for row in rows] == table
    assert [row["record_number"] for row in rows] == list(range(1, len(table) + 1))
    assert {row["parse_error"] for row in rows} == {None}
    assert {row["raw_record"] for row in rows} == {None}
    assert {(row["source_records"], row["cell_count"]) for row in rows} == {(len(table), 3)}


@settings(max_examples=30, deadline=None)
@given(st.lists(CELLS.filter(lambda cell: not set(cell) & set('",\r\n') and cell), min_size=3, max_size=3))
def test_unquoted_cells_land_byte_for_byte(record: list[str]):
    (row,) = landed(",".join(NAMES) + "\n" + ",".join(record))
    assert cells(row) == record


@settings(max_examples=40, deadline=None)
@given(TABLES, st.permutations([0, 1, 2]))
def test_the_order_of_the_columns_and_the_quoting_do_not_change_the_record_hash(
    table: list[list[str]], order: list[int]
):
    one = landed(written([NAMES, *table]))
    two = landed(written([[row[at] for at in order] for row in [NAMES, *table]], "\r\n"), "another name.csv")
    assert [row["record_hash"] for row in one] == [row["record_hash"] for row in two]
    assert [cells(row) for row in two] == table
    distinct = {tuple(row) for row in table}
    assert len({row["record_hash"] for row in one}) == len(distinct)


@settings(max_examples=40, deadline=None)
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
    assert len({row["record_hash"] for row in bad}) == len({row["raw_record"] for row in bad})


def test_a_malformed_record_names_its_error_its_line_and_its_cells():
    rows = landed('ref,title,place\nA,"x\ny",z\n\nB,only\nC,t,p\nD,"t,p\n')
    assert [(row["record_number"], row["line_number"], row["parse_error"], row["cell_count"]) for row in rows] == [
        (1, 2, None, 3),
        (2, 5, "too_few_columns", 2),
        (3, 6, None, 3),
        (4, 7, "unterminated_quote", 2),
    ]
    assert {(row["source_records"], row["source_blank_lines"]) for row in rows} == {(4, 1)}


def test_unknown_columns_are_kept_in_the_order_of_their_names():
    (row,) = landed('zeta,ref,owner,title,"a ""b"" {c}"\nz,R,o,T,"1\n2"\n')
    assert row["source_columns"] == ["zeta", "ref", "owner", "title", 'a "b" {c}']
    assert row["other_cells"] == ["1\n2", "o", "z"]
    assert cells(row) == ["R", "T", None]


def test_an_unknown_column_counts_in_the_hash_and_a_missing_one_is_not_an_empty_one():
    assert landed("ref,title,x\nR,T,1\n")[0]["record_hash"] != landed("ref,title,x\nR,T,2\n")[0]["record_hash"]
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


@pytest.mark.parametrize("cell", ["x" * LIMITS.max_field_bytes, '""' * (LIMITS.max_field_bytes)])
def test_a_cell_up_to_the_limit_lands(cell: str):
    rows = landed(f'ref,title\nR,T\nS,"{cell}"\nU,V\n')
    assert [row["ref"] for row in rows] == ["R", "S", "U"]
    assert rows[1]["title"] == cell.replace('""', '"')


def test_a_malformed_record_up_to_the_limit_lands():
    quotes = '""' * (LIMITS.max_record_bytes // 2 - 4)
    rows = landed(f'ref,title\nR,T\nS,"{quotes}')
    assert [(row["ref"], row["parse_error"]) for row in rows] == [("R", None), (None, "unterminated_quote")]
    assert rows[1]["raw_record"] == f'S,"{quotes}'


@pytest.mark.parametrize("start", ['R,"', "R,", 'R,"x"'])
def test_a_record_over_the_limit_is_refused_with_its_line(start: str):
    with pytest.raises(SourceRefused, match=r":3: a record of \d+ bytes, the limit is 4000000; .* or raise"):
        landed(f"ref,title\nQ,T\n{start}" + "x" * LIMITS.max_record_bytes + "\n")


@pytest.mark.parametrize("record", ["{x}{x},T", 'R,"{x}\n{x}"', 'R,T\n"a\nb",{x}{x}'])
def test_a_cell_over_the_limit_is_refused_with_its_line(record: str):
    line = record.count("\n", 0, record.rindex("{x}{x}")) + 2 if "{x}{x}" in record else 2
    line -= record.count('"a\nb"')
    with pytest.raises(SourceRefused, match=rf":{line}: a cell of \d+ bytes, the limit is 1000000; shorten it"):
        landed("ref,title\n" + record.replace("{x}", "x" * (LIMITS.max_field_bytes // 2 + 1)) + "\n")


def test_a_file_over_the_limits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = (ROOT / "etl.toml").read_text(encoding="utf-8")
    for before, after in {
        "max_file_bytes = 4_000_000_000": "max_file_bytes = 18",
        "max_columns = 500": "max_columns = 2",
    }.items():
        assert before in settings
        settings = settings.replace(before, after)
    (tmp_path / "etl.toml").write_text(settings, encoding="utf-8")
    monkeypatch.setenv("ETL_CONFIG", str(tmp_path / "etl.toml"))
    assert len(landed("ref,title\nR,T\nR,T\n")) == 2
    with pytest.raises(SourceRefused, match="has 19 bytes, the limit is 18; split it, or raise"):
        landed("ref,title\nR,T\nR,TT\n")
    with pytest.raises(SourceRefused, match=":1: the header has 3 columns, the limit is 2"):
        landed("ref,title,a\nR,T,\n")


DIALECTS = [
    ("semicolon", None),
    ("tab", None),
    ("|", "cp1252"),
    (";", "utf-16"),
    (None, "utf-16-le"),
    ("^", "iso-8859-1"),
]


@pytest.mark.parametrize(("delimiter", "encoding"), DIALECTS)
def test_other_dialects_are_read_on_purpose(
    delimiter: str | None, encoding: str | None, monkeypatch: pytest.MonkeyPatch
):
    sign = {"semicolon": ";", "tab": "\t", None: ","}.get(delimiter, delimiter)
    table = [["ref", "title", "place"], ["R-1", "caf\xe9, bar; \t| ^", 'a "b"\nc'], ["R-2", "\xfc", ""]]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=sign, lineterminator="\r\n").writerows(table)
    data = text.getvalue().encode(encoding or "utf-8")
    with pytest.raises(SourceRefused):
        landed(data)
    monkeypatch.setenv("ETL_DELIMITER", delimiter or "")
    monkeypatch.setenv("ETL_ENCODING", encoding or "")
    rows = landed(data)
    assert [cells(row) for row in rows] == table[1:]
    assert {row["source_sha256"] for row in rows} == {hashlib.sha256(data).hexdigest()}
    assert {row["export_with_bom"] for row in rows} == {encoding is not None}
    assert [row["line_number"] for row in rows] == [2, 4]


def test_a_record_that_is_not_utf8_is_a_row_and_the_others_land():
    good = "A,\xe9,\U0001f600\n".encode()
    data = b"ref,title,place\n" + good * 3 + b"B,caf\xe9,z\r\n" + good + b'C,"x\n\xff",z\n' + good + b"D,\xc3"
    rows = landed(data)
    assert [row["parse_error"] for row in rows] == [None] * 3 + ["not_utf8", None, "not_utf8", None, "not_utf8"]
    assert [row["raw_record"] for row in rows if row["parse_error"]] == ["B,caf\\xe9,z", 'C,"x\n\\xff",z', "D,\\xc3"]
    assert [row["line_number"] for row in rows] == [2, 3, 4, 5, 6, 7, 9, 10]


def test_a_file_in_cp1252_is_refused_with_the_flag_that_reads_it(monkeypatch: pytest.MonkeyPatch):
    data = "ref,title\nR,T\nS,caf\xe9\n".encode("cp1252")
    with pytest.raises(SourceRefused, match=":3: is not UTF-8 but reads as cp1252; add --encoding cp1252"):
        landed(data)
    monkeypatch.setenv("ETL_ENCODING", "utf-8")
    assert [row["parse_error"] for row in landed(data)] == [None, "not_utf8"]
    monkeypatch.setenv("ETL_ENCODING", "cp1252")
    assert [row["title"] for row in landed(data)] == ["T", "caf\xe9"]
    with pytest.raises(SourceRefused, match="has bytes that cp1252 does not have, after line 1"):
        landed(b"ref,title\nR,\x81\n")


def test_our_own_rejected_file_can_be_given_back():
    own = "ref,title,place,x,_line,_codes,_how_to_fix,_suggestion\nR,'=1,P,y,2,required,fill it,\n"
    (back,), (first,) = landed(own), landed("ref,title,place,x\nR,'=1,P,y\n")
    assert (back["is_export"], first["is_export"]) == (True, False)
    for name in ("record_hash", "source_columns", "other_cells", "title"):
        assert back[name] == first[name], name


def test_many_short_pieces_keep_their_numbers():
    kinds = ["R,T,P", 'S,"two\nlines",P', "", "short,one", 'U,"a ""b""",P', "V,T,P", "W,T,P\r", 'X,b"c,d']
    lines = [kinds[at * 7 % 8] for at in range(400)]
    rows = landed("ref,title,place\n" + "\n".join(lines))
    expected, line = [], 2
    for text in lines:
        if text:
            expected.append((line, text[0] if "," in text and text[0] != "s" and 'b"c' not in text else None))
        line += text.count("\n") + 1
    assert [(row["line_number"], row["ref"]) for row in rows] == expected
    assert [row["record_number"] for row in rows] == list(range(1, len(expected) + 1))


def test_a_file_without_a_record_is_refused():
    with pytest.raises(SourceRefused, match="no record"):
        landed("ref,title\n\n\r\n")
