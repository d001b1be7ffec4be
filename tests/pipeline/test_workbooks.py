"""Workbooks: a sheet is landed as the CSV of the same data, and what is no sound workbook is refused in one line."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from loader.errors import SourceRefused
from tests.pipeline.landing import NAMES, cells, landed
from tests.support import Home, new_home

HEADER = ["external_ref", "title", "description", "incident_type", "severity", "status", "incident_date", "location"]
TABLE = [
    ["A-1", "Fall", "Fell\nfrom a ladder", "injury", "high", "closed", "2026-01-05", "Hall 1"],
    ["A-2", "", "No title", "injury", "what", "closed", "2026-01-06", 'a "b", c'],
    ["A-3", "Oil", "Oil on the way", "environmental", "low", "closed", "2026-01-07", ""],
]
Fill = Callable[[Any, Any], None]


def workbook(fill: Fill, *sheets: str) -> bytes:
    """Return a workbook of these sheets, of which the first was filled."""
    data = io.BytesIO()
    with xlsxwriter.Workbook(data, {"in_memory": True}) as book:
        first, *_ = [book.add_worksheet(name) for name in sheets or ("Data",)]
        fill(book, first)
    return data.getvalue()


def table(rows: list[list[str]]) -> Fill:
    def fill(_: Any, sheet: Any) -> None:
        for at, row in enumerate(rows):
            for place, cell in enumerate(row):
                sheet.write_string(at, place, cell)

    return fill


def changed(data: bytes, name: str, change: Callable[[bytes], bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a workbook with one part changed."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(written, "w", method) as after:
        for part in before.namelist():
            content = before.read(part)
            after.writestr(part, change(content) if part == name else content)
    return written.getvalue()


PLAIN = workbook(table([NAMES, ["R-1", "T", "P"]]))
SHEET = "xl/worksheets/sheet1.xml"


def test_a_workbook_has_the_counts_and_the_hash_of_the_same_data_as_csv(tmp_path: Path):
    home = new_home(tmp_path / "home")
    text, book = home.folder / "a.csv", home.folder / "a.xlsx"
    with text.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *TABLE])
    book.write_bytes(workbook(table([HEADER, *TABLE]), "Data", "Notes"))
    results = []
    for given in ([text], [book, "--sheet", "Data"]):
        done = home.loader("--validate-only", "--json", "--source", *given)
        assert done.returncode == 1, done.stderr
        results.append(json.loads(done.stdout))
    for name in ("output_hash", "ledger", "warnings"):
        assert results[0][name] == results[1][name], name
    (sha256,) = home.query("select source_sha256 from validation.int_incident_totals")[0]
    assert sha256 == hashlib.sha256(book.read_bytes()).hexdigest()
    lines = [record["line_number"] for record in home.documents("validation")[-1]["invalid_records"]]
    assert lines == [3]  # the row of the sheet, although a cell above has a line break
    story = home.loader("explain", "A-2")
    assert "No title" in story.stdout, story.stdout + story.stderr
    assert "the file is a workbook" in story.stdout

    # The rejected file is a CSV, and is given back as one.
    rejected = sorted(home.output.glob("rejected_*.csv"))[-1]
    assert rejected.read_bytes().startswith(b"\xef\xbb\xbf")
    done = home.dbt("build", ETL_SOURCE=str(book), ETL_SHEET="Data", ETL_ENTITY="incident")
    assert home.query("select output_hash from validation.int_incident_totals") == [(results[0]["output_hash"],)]


def test_typed_cells_are_the_text_that_they_mean():
    def fill(book: Any, sheet: Any) -> None:
        def form(code: str) -> Any:
            return book.add_format({"num_format": code})

        day, moment = form("dd/mm/yyyy"), form("yyyy-mm-dd hh:mm:ss")
        sheet.write_row(0, 0, NAMES)
        rows = [
            [(date(2026, 1, 5), day), (datetime(2026, 1, 5, 9, 30, 1), moment), (datetime(2026, 1, 5), moment)],  # noqa: DTZ001
            [(202600000000017, None), (0.1 + 0.2, None), (1e22, None)],
            [(1.0, None), (-12, None), (1e-7, None)],
            [(True, None), (False, None), ("=1/0", None)],
            [(17, form("00000")), (0.5, form("hh:mm")), (1.5, form("[h]:mm"))],
            [(1234.5, form("#,##0.00")), (0.25, form("0%")), ("00017", None)],
        ]
        for at, row in enumerate(rows, 1):
            for place, (value, shape) in enumerate(row):
                if value == "=1/0":
                    sheet.write_formula(at, place, value, shape, "#DIV/0!")
                elif isinstance(value, date):
                    sheet.write_datetime(at, place, value, shape)
                elif isinstance(value, str):
                    sheet.write_string(at, place, value)
                else:
                    sheet.write(at, place, value, shape)

    rows = landed(workbook(fill), "typed.xlsx")
    assert [cells(row) for row in rows] == [
        ["2026-01-05", "2026-01-05T09:30:01", "2026-01-05"],
        ["202600000000017", "0.3", "1" + "0" * 22],
        ["1", "-12", "0.0000001"],
        ["TRUE", "FALSE", "#DIV/0!"],
        ["00017", "12:00:00", "36:00:00"],
        ["1234.5", "0.25", "00017"],
    ]
    assert json.loads(rows[0]["source_notices"]) == [
        "sheet 'Data' has 1 formula: its value as it was last saved is read"
    ]


def test_the_row_of_the_sheet_is_the_line_and_what_a_person_may_not_know_is_said():
    def fill(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 1, NAMES)
        for at, row in {1: ["A", "1\n2\n3", ""], 4: ["B", "", ""], 5: ["C", "x", "\n"], 6: ["D", "y", "z"]}.items():
            sheet.write_row(at, 1, row)
        sheet.merge_range(4, 2, 4, 3, "both")
        sheet.set_row(5, None, None, {"hidden": True})
        sheet.set_column(3, 100, None, None, {"hidden": True})

    rows = landed(workbook(fill), "rows.XLSX")
    assert [cells(row) for row in rows] == [["A", "1\n2\n3", ""], ["B", "both", ""], ["C", "x", "\n"], ["D", "y", "z"]]
    assert [row["line_number"] for row in rows] == [2, 5, 6, 7]
    assert (rows[0]["source_blank_lines"], rows[0]["export_with_bom"]) == (2, True)
    assert json.loads(rows[0]["source_notices"]) == [
        "sheet 'Data' has 1 merged range: its value stands in the first cell, the others are blank",
        "sheet 'Data' has 1 hidden row: read as the others are",
        "sheet 'Data' has 1 hidden column: read as the others are",
    ]


def test_many_rows_with_line_breaks_keep_their_places():
    rows = [[f"R-{at}", "a\nb" if at % 3 == 0 else "c", "x" * (at % 7)] for at in range(20_000)]
    found = landed(workbook(table([NAMES, *rows])), "many.xlsx")
    assert [cells(row) for row in found] == rows
    assert [row["line_number"] for row in found] == list(range(2, len(rows) + 2))


ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
REFUSED = [
    ("a.xlsx", workbook(table([NAMES]), "One", "Two"), r"has 2 sheets; name one with --sheet: 'One', 'Two'"),
    ("a.xlsx", PLAIN[:900], r"is damaged \(.*save it again as .xlsx"),
    ("a.xlsx", b"ref,title\nR,T\n", r"is no workbook, whatever its name says; .*rename a CSV to .csv"),
    ("a.xlsx", b"", r"is no workbook, whatever its name says"),
    ("a.xls", OLE, r"is an xls file; save it as .xlsx"),
    ("a.xlsx", OLE + "EncryptedPackage".encode("utf-16-le"), r"is protected by a password; save it without one"),
    (
        "a.zip",
        changed(PLAIN, "xl/workbook.xml", lambda _: b"<x/>"),
        r"is not as workbooks are|cannot be read as a workb",
    ),
    ("a.xlsx", workbook(table([NAMES])), r"has a header \(3 columns\) and no record"),
    ("a.xlsx", workbook(table([])), r"is empty"),
    ("a.xlsx", workbook(table([["ref", "Titel"], ["R", "T"]])), r":1: the header lacks 'title'; it has 'ref', 'Titel'"),
    ("a.xlsx", workbook(table([["A report"], [], NAMES, ["R", "T", "P"]])), r"the header stands on line 3"),
    (
        "a.xlsx",
        changed(PLAIN, SHEET, lambda xml: xml.replace(b"<worksheet", ENTITIES + b"<worksheet", 1)),
        r"is not as workbooks are \(its XML declares a document type\)",
    ),
    (
        "a.xlsx",
        changed(PLAIN, SHEET, lambda xml: xml.replace(b"<sheetData>", b" " * 20_000_000 + b"<sheetData>")),
        r"'xl/worksheets/sheet1.xml' unpacks to \d+ times its size, as a zip bomb does",
    ),
    ("a.xlsx", changed(PLAIN, SHEET, lambda xml: xml[:-40]), r"cannot be read as a workbook"),
]


@pytest.mark.parametrize(("name", "data", "message"), REFUSED)
def test_what_is_no_sound_workbook_is_refused_in_one_line(name: str, data: bytes, message: str):
    with pytest.raises(SourceRefused, match=message) as refusal:
        landed(data, name)
    assert "\n" not in str(refusal.value)


def test_limits_hold_for_what_a_workbook_unpacks_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = new_home(tmp_path / "home")
    home.settings(max_file_bytes="60_000")
    monkeypatch.setenv("ETL_CONFIG", str(home.folder / "etl.toml"))
    data = workbook(table([NAMES, *([f"R-{at}", "T", "P"] for at in range(2000))]))
    assert len(data) < 60_000
    with pytest.raises(SourceRefused, match=r"unpacks to \d+ bytes, the limit is 60000; .*max_file_bytes"):
        landed(data, "a.xlsx")
    monkeypatch.setenv("ETL_SHEET", "Other")
    with pytest.raises(SourceRefused, match=r"has no sheet 'Other'; --sheet takes one of 'Data'"):
        landed(PLAIN, "a.xlsx")


def test_a_part_that_unpacks_to_more_than_it_says_is_refused():
    at = PLAIN.rindex(SHEET.encode()) - 46  # the entry of the directory: its size is in bytes 24 to 27
    said = int.from_bytes(PLAIN[at + 24 : at + 28], "little")
    lying = PLAIN[: at + 24] + (said // 2).to_bytes(4, "little") + PLAIN[at + 28 :]
    with pytest.raises(SourceRefused, match="cannot be read as a workbook"):
        landed(lying, "a.xlsx")


def test_a_profile_reads_a_workbook_of_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = Home(tmp_path)
    home.settings()
    with (tmp_path / "etl.toml").open("a", encoding="utf-8") as file:
        file.write(
            '\n[sources.x]\nsheet = "Two"\ndelimiter = ";"\nencoding = "cp1252"\ncolumns = {R = "ref", T = "title"}\n'
        )
    monkeypatch.setenv("ETL_CONFIG", str(tmp_path / "etl.toml"))
    monkeypatch.setenv("ETL_SOURCE_PROFILE", "x")
    (row,) = landed(workbook(table([["R", "T"], ["1", "caf\xe9"]]), "Two", "One"), "a.xlsx")
    assert cells(row) == ["1", "caf\xe9", None]


def test_a_cell_far_from_all_others_takes_no_memory():
    stray = changed(
        PLAIN,
        SHEET,
        lambda xml: xml.replace(
            b"</row></sheetData>", b'</row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
        ),
    )
    with pytest.raises(SourceRefused, match=r"its 7 cells are spread over 1048576 rows and 16384 columns; delete"):
        landed(stray, "a.xlsx")
