"""Limits, other dialects, our own files: what landing reads on purpose, and what it refuses with a remedy."""

import csv
import hashlib
import io
from pathlib import Path

import pytest

from loader.config import load_settings
from loader.errors import SourceRefused
from tests.pipeline.landing import cells, landed
from tests.support import ROOT

LIMITS = load_settings().source


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
    with pytest.raises(SourceRefused, match=r":3: is not UTF-8; add the flag .*--encoding cp1252 'S,café'"):
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
    for name in ("source_columns", "other_cells", "title"):
        assert back[name] == first[name], name


def test_text_in_utf8_is_not_read_as_another_encoding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ETL_ENCODING", "cp1252")
    with pytest.raises(SourceRefused, match="is UTF-8; give --encoding utf-8 in place of cp1252"):
        landed("ref,title\nR,Sch\xe4del \u2013 ok\n")
    assert [row["title"] for row in landed("ref,title\nR,plain\n")] == ["plain"]
    with pytest.raises(SourceRefused, match="byte order mark of UTF-8"):
        landed("\ufeffref,title\nR,plain\n")


@pytest.mark.parametrize("column", ["_line", "_codes"])
def test_an_apostrophe_of_ours_is_known_by_any_column_of_ours(column: str):
    (row,) = landed(f"ref,title,{column}\nR,'=1,x\n")
    assert (row["is_export"], row["other_cells"], row["source_columns"]) == (True, [], '["ref","title"]')


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("ref,title,Place\nR,T,P\n", "other spellings of known columns: rename 'Place' to 'place'"),
        ("ref,title, place\nR,T,P\n", "rename ' place' to 'place'"),
        ('"ref";"title"\n"R";"T"\n', "add --delimiter semicolon"),
        ("ref^title\nR^T\n", "add --delimiter '\\^'"),
        ("place;title\nP;T\n", "lacks 'ref', 'title' .*add --delimiter semicolon"),
        ("Ref\tTITLE\tx\nR\tT\t1\n", "add --delimiter tab"),
        ("Report\nref;title\nR;T\n", "add --delimiter semicolon; the header stands on line 2"),
        ('sep=;\n"ref";"title"\n', "add --delimiter semicolon; the header stands on line 2"),
        ('"ref";"place"\n"R";"P"\n', "cannot be read: .*add --delimiter semicolon"),
        ("ref;title;place;;\nR;T;P;;\n", "add --delimiter semicolon"),
        ("ref;title;title\nR;T;T\n", "add --delimiter semicolon"),
        ("ref,title,p-lace\nR,T,P\n", "rename 'p-lace' to 'place'"),
        ("ref,title\rR,T\rS,U\r", "lines end in carriage returns alone"),
        (f"ref{' ' * 900_000},title\nR,T\n", "rename 'ref {37}' to 'ref'"),
        ("sep=;\nref,title\nR,T\n", "the header stands on line 2: remove what is above it"),
        ("Report,,\n\nref,title,place\nR,T,P\n", "the header stands on line 3"),
        ("ref||title||place\nR||T||P\n", "lacks 'ref', 'title'; it has"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_with_what_would_help(text: str, remedy: str):
    with pytest.raises(SourceRefused, match=remedy):
        landed(text)


def test_text_in_utf32_is_named_as_such():
    with pytest.raises(SourceRefused, match="UTF-32"):
        landed("ref,title\nR,T\n".encode("utf-32"))
