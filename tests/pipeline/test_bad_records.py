"""Records that are wrong, too long or there twice: each is named with its line and its remedy, none is posted."""

import json
import sys
from collections.abc import Callable

import pytest

from sandbox.process import Sandbox
from tests.support import FIELDS, Home, copied_project

GOOD = 'GOOD-1,Loose handrail,"A handrail, loose at its foot",safety,low,open,2026-01-05,Stair 3'
EMPTY_TITLE = "BAD-1,  ,A record without a title,safety,low,open,2026-01-05,Stair 3"
UNKNOWN_ENUM = 'BAD-2,Two lines,"one\ntwo",volcano,low,open,2026-01-05,Stair 3'
BAD_DATE = "BAD-3,A day that is none,No such day,safety,low,open,2026-02-30,Stair 3"
LIMIT = FIELDS["title"].max_length
LONG, AMPERSANDS = "x" * (LIMIT + 150), "&" * LIMIT
LONG_TITLE = f"LONG-1,{LONG},A long title,safety,low,open,2026-01-05,Stair 3"
ESCAPED_TITLE = f"LONG-2,{AMPERSANDS},A title of signs that are escaped,safety,low,open,2026-01-05,Stair 3"


def error_line(stderr: str) -> str:
    (line,) = stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture
def posts(sandbox: Sandbox) -> Callable[[], list[int]]:
    return lambda: [request["status"] for request in sandbox.requests() if request["method"] == "POST"]


def test_bad_records_are_all_named_and_close_the_gate(home: Home, sandbox: Sandbox, posts: Callable[[], list[int]]):
    source = home.csv("bad.csv", EMPTY_TITLE, UNKNOWN_ENUM, BAD_DATE, LONG_TITLE, GOOD)
    done = home.loader("--validate-only", "--source", source)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr

    (report,) = home.documents("validation_incident")
    assert report["summary"] == {
        "total_records": 5,
        "valid_records": 2,
        "invalid_records": 3,
        "warnings": 1,
        "success_rate": 40.0,
    }
    found = [
        (record["row_number"], record["line_number"], record["reference_number"], error["code"], error["field"])
        for record in report["invalid_records"]
        for error in record["errors"]
    ]
    assert found == [
        (1, 2, "BAD-1", "required", "title"),
        (2, 3, "BAD-2", "unknown_enum", "incident_type"),
        (3, 5, "BAD-3", "invalid_date", "incident_date"),
    ]
    (warning,) = report["warnings"]
    assert (warning["row_number"], warning["line_number"], warning["code"]) == (4, 6, "truncated")
    assert (warning["counted"], warning["allowed"]) == (len(LONG), LIMIT)

    assert warning["code"] in done.stdout
    for record in report["invalid_records"]:
        (error,) = record["errors"]
        (shown,) = [line for line in done.stdout.splitlines() if error["message"] in line]
        assert f":{record['line_number']}" in shown or f"line {record['line_number']}" in shown
        assert error["code"] in done.stdout
        assert error["how_to_fix"]
        assert error["how_to_fix"] in done.stdout

    refused = home.loader("--import")
    assert refused.returncode == 1
    assert "3 records are invalid, nothing was posted" in error_line(refused.stderr)
    assert (sandbox.records(), posts()) == ([], [])


def test_titles_over_the_limit_are_shortened_stored_and_accounted_for(
    home: Home, sandbox: Sandbox, posts: Callable[[], list[int]]
):
    done = home.loader("--import", "--source", home.csv("long.csv", LONG_TITLE, ESCAPED_TITLE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert posts() == [201, 201]
    stored = {record["reference_number"]: record["title"] for record in sandbox.records()}
    assert stored == {"LONG-1": LONG[:LIMIT], "LONG-2": "&amp;" * (LIMIT // 5)}
    changes = (
        "select reference_number, length(before), length(after), before, after from audit.fct_changes order by all"
    )
    assert [row for row in home.query(changes) if row[1] != row[2] and row[3][0] in "x&"] == [
        ("LONG-1", len(LONG), LIMIT, LONG, LONG[:LIMIT]),
        ("LONG-2", len(AMPERSANDS), LIMIT // 5, AMPERSANDS, AMPERSANDS[: LIMIT // 5]),
    ]


def test_a_text_that_is_cut_ends_in_no_blank(home: Home):
    """The platform strips a title: one that ends in a blank is stored otherwise than it was sent."""
    blanks = [chr(code) for code in range(1, sys.maxunicode) if chr(code).isspace()]
    assert len(blanks) == 29
    kept = [("x" * (limit - 30), "x" * (limit - 1) + "\u200b") for limit in (LIMIT, FIELDS["location"].max_length)]
    titles, locations = ([short + blank * 40 + "tail" for blank in blanks] + [f"{full} tail"] for short, full in kept)
    records = [
        f'CUT-{number},"{title}",A cut,safety,low,open,2026-01-05,"{location}"'
        for number, (title, location) in enumerate(zip(titles, locations, strict=True))
    ]
    done = home.loader("--dry-run", "--source", home.csv("cut.csv", *records))
    assert done.returncode == 0, done.stdout + done.stderr
    cut = home.query("select title, location from payload.fct_incident_payload order by record_number")
    (title, full_title), (location, full_location) = kept
    assert cut == [(title, location)] * 29 + [(full_title, full_location)]


def test_an_identical_record_is_posted_once_and_counted(home: Home, sandbox: Sandbox, posts: Callable[[], list[int]]):
    done = home.loader("--import", "--json", "--source", home.csv("twice.csv", GOOD, LONG_TITLE, GOOD))
    assert done.returncode == 0, done.stderr
    ledger = json.loads(done.stdout)["ledger"]
    assert (ledger["total_records"], ledger["ready_records"], ledger["created_records"]) == (3, 2, 2)
    assert ledger["duplicate_records"] == 1
    assert ledger["closes"] is True
    assert posts() == [201, 201]
    assert sorted(record["reference_number"] for record in sandbox.records()) == ["GOOD-1", "LONG-1"]
    (report,) = home.documents("validation_incident")
    assert [(entry["row_number"], entry["line_number"]) for entry in report["warnings"]] == [(2, 3), (3, 4)]
    assert [entry["code"] for entry in report["warnings"]] == ["truncated", "duplicate_reference"]


def test_one_reference_with_two_contents_closes_the_gate_for_both(
    home: Home, sandbox: Sandbox, posts: Callable[[], list[int]]
):
    other = GOOD.replace("loose at its foot", "loose at its head")
    done = home.loader("--import", "--source", home.csv("conflict.csv", GOOD, LONG_TITLE, other))
    assert done.returncode == 1
    assert "2 records are invalid, nothing was posted" in error_line(done.stderr)
    assert (sandbox.records(), posts()) == ([], [])
    (report,) = home.documents("validation_incident")
    assert [(record["row_number"], record["line_number"]) for record in report["invalid_records"]] == [(1, 2), (3, 4)]
    errors = [error for record in report["invalid_records"] for error in record["errors"]]
    assert [error["code"] for error in errors] == ["conflicting_duplicate"] * 2


def test_a_build_that_stops_early_never_reports_the_file_before(home: Home):
    """A rule without a meaning fails an upstream test, so dbt skips the verdicts; the old ones are another file's."""
    project = copied_project(home.folder / "project")
    codes = project / "data" / "reference" / "issue_codes.csv"
    kept = [line for line in codes.read_text(encoding="utf-8").splitlines() if not line.startswith("required,")]
    codes.write_text("\n".join(kept) + "\n", encoding="utf-8")
    source = home.csv("no_title.csv", "N-1,,d,quality,high,open,2026-01-05,A")
    pipeline = project / "scripts" / "etl" / "pipeline.py"
    done = home.run(
        [sys.executable, pipeline, "--validate-only", "--environment", "staging", "--source", source],
        DBT_TARGET_PATH=str(home.folder / "target"),
    )
    assert done.returncode == 2, done.stdout
    assert "dbt stopped before it validated the file" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert home.documents("validation_incident") == []
