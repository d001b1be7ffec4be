"""The loop that `make bench` times finds what the pipeline finds: the fixtures give it the same issues."""

import csv
import hashlib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.dictreader_loop import validate
from tests.support import FIXTURES, HEADER, KEY_COLUMN, fixture

COLUMNS = ["line_number", "severity", "code", "field"]
# What the loop leaves out, as README.md beside it says: these rules look at a line beside others, or at each letter.
LEFT_OUT = {"cut_off", "line_like_a_record", "mojibake", "not_a_record", "swallowed_record"}
CODES = sorted({path.name.removesuffix(".issues.csv") for path in (FIXTURES / "csv").glob("*.issues.csv")} - LEFT_OUT)
SOUND = "A handrail is loose at its foot,safety,low,open,2026-01-05,Stair 3"


def issues_of(report: dict[str, Any]) -> list[tuple[str, ...]]:
    return [tuple(str(issue[column]) for column in COLUMNS) for issue in report["issues"]]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("code", CODES)
def test_the_fixture_gives_the_issues_that_the_pipeline_gives(tmp_path: Path, code: str):
    report = validate(fixture(f"csv/{code}.csv", tmp_path), "incident", tmp_path)
    issues = rows_of(fixture(f"csv/{code}.issues.csv", tmp_path))
    expected = [tuple(row[column] for column in COLUMNS) for row in issues]
    assert code in {issue[2] for issue in expected}
    assert issues_of(report) == expected


def test_accepted_and_rejected_are_the_input(tmp_path: Path):
    source = tmp_path / "source.csv"
    records = [
        f"R-1,Loose handrail,{SOUND}",
        f'R-2,A "bare" quote,{SOUND}',
        f"R-1,Loose handrail,{SOUND}",
        f"R-3,,{SOUND}",
        f'R-4,"-1, a formula\nin two lines",{SOUND}',
    ]
    source.write_text("\n".join([HEADER, *records]) + "\n", encoding="utf-8")
    report = validate(source, "incident", tmp_path)
    assert report["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert dict(report["counts"]) == {"valid": 2, "parse_error": 1, "duplicate": 1, "invalid": 1}
    accepted, rejected = rows_of(tmp_path / "accepted.csv"), rows_of(tmp_path / "rejected.csv")
    assert list(accepted[0]) == [*HEADER.split(","), "_line"]
    assert [(row[KEY_COLUMN], row["_line"]) for row in accepted] == [("R-1", "2"), ("R-4", "6")]
    assert accepted[1]["title"] == "'-1, a formula\nin two lines"
    assert list(rejected[0]) == [*HEADER.split(","), "_line", "_codes", "_how_to_fix", "_suggestion"]
    assert [(row[KEY_COLUMN], row["_line"], row["_codes"]) for row in rejected] == [
        (records[1], "3", "bare_quote"),
        ("R-1", "4", "duplicate_reference"),
        ("R-3", "5", "required"),
    ]


def test_lines_after_a_quote_that_is_never_closed_are_read_again(tmp_path: Path):
    source = tmp_path / "source.csv"
    records = [f'R-1,"Loose handrail,{SOUND}', "", f"R-2,,{SOUND}", f"R-3,Loose handrail,{SOUND}"]
    source.write_text("\r\n".join([HEADER, *records]), encoding="utf-8")
    report = validate(source, "incident", tmp_path)
    assert issues_of(report) == [("2", "error", "unterminated_quote", ""), ("4", "error", "required", "title")]
    assert dict(report["counts"]) == {"parse_error": 1, "invalid": 1, "valid": 1}
