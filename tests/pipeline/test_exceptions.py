"""Documented exceptions leave a record out and say so; thresholds let the others pass; neither opens the gate wider."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from loader.card import entities
from sandbox.process import Sandbox
from tests.support import Home, copied_project

COLUMNS = "entity,reference_number,record_hash,code,reason,approved_by,expires_on"
REASON = "# 12: it's untitled, as agreed"
VALID = f'incident,B-1,,required,"{REASON}",A. Person,2999-12-31'
GOOD = "G-{},Loose handrail,A handrail is loose,safety,low,open,2026-01-05,Stair 3"
UNTITLED = "B-{},,A record without a title,safety,low,open,2026-01-05,Stair 3"
THRESHOLD = 'error_if: "> 0"'


@dataclass
class Project:
    """A copy of the project, to be changed, run in the home of one test."""

    folder: Path
    home: Home

    def exceptions(self, *lines: str) -> None:
        path = self.folder / "data" / "reference" / "documented_exceptions.csv"
        path.write_text("\n".join([COLUMNS, *lines]) + "\n", encoding="utf-8")

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        pipeline = self.folder / "scripts" / "etl" / "pipeline.py"
        return self.home.run(
            [sys.executable, pipeline, "--environment", "staging", *arguments],
            DBT_TARGET_PATH=str(self.home.target.with_name("project")),
        )


@pytest.fixture
def project(home: Home) -> Project:
    return Project(copied_project(home.folder / "project"), home)


def test_an_exception_that_nobody_answers_for_stops_the_build(project: Project):
    project.exceptions(
        VALID,
        "incident,B-1,,required,  ,A. Person,2999-12-31",
        "incident,B-1,,required,A reason,,2999-12-31",
        "incident,,,required,A reason,A. Person,2999-12-31",
        "incident,B-1,,requird,A reason,A. Person,2999-12-31",
        "incident,B-1,,required,A reason,A. Person,31/12/2999",
        "incident,B-1,,truncated,A reason,A. Person,2999-12-31",
        "incident,,abc,bare_quote,A reason,A. Person,2999-12-31",
        "incidents,B-1,,required,A reason,A. Person,2999-12-31",
        'incident,"it\'s {{ x }}, ""B""",,,,,',
        "incident,B-1,,required,A line that ends early",
    )
    before = project.home.query("select invocation_id from audit.fct_dbt_payloads")
    done = project.run("--validate-only", "--source", project.home.csv("one.csv", UNTITLED.format(1)))
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.splitlines() == [
        (
            "error: data/reference/documented_exceptions.csv, line 3 (reference B-1, code required): "
            "has no reason; write why the record is left out; then run the same command again (9 more such lines)"
        )
    ]
    assert project.home.documents("validation_incident") == []
    assert project.home.query("select invocation_id from audit.fct_dbt_payloads") == before
    refusals = project.home.query(
        "select line_number, refusal from test_failures.exceptions_are_documented order by line_number"
    )
    expected = {
        3: "has no reason",
        4: "has no approved_by",
        5: "names no record",
        6: "has a code that does not exist",
        7: "has no expires_on that is a date",
        8: "excepts a warning",
        9: "excepts a record that cannot be read",
        10: f"has no known entity; write {' or '.join(entities())}",
        11: "has no code",
        12: "has no approved_by",
    }
    assert [line for line, _ in refusals] == list(expected)
    for line, refusal in refusals:
        assert refusal.startswith(f"data/reference/documented_exceptions.csv, line {line} (")
        assert f"): {expected[line]}" in refusal
    assert refusals[-2][1].count("; and ") == 3


def test_an_excepted_record_is_left_out_counted_and_named(project: Project, sandbox: Sandbox):
    home = project.home
    project.exceptions(
        VALID,
        "incident,B-2,,required,Too old,A. Person,2020-01-01",
        "incident,B-9,,required,Not in this file,A. Person,2999-12-31",
    )
    source = home.csv("mixed.csv", GOOD.format(1), UNTITLED.format(1), GOOD.format(2))
    done = project.run("--import", "--json", "--source", source)
    assert done.returncode == 0, done.stdout + done.stderr
    ledger = json.loads(done.stdout)["ledger"]
    assert (ledger["total_records"], ledger["excepted_records"], ledger["created_records"]) == (3, 1, 2)
    assert ledger["closes"] is True
    assert sorted(record["reference_number"] for record in sandbox.records()) == ["G-1", "G-2"]
    (report,) = home.documents("validation_incident")
    assert report["invalid_records"] == []
    (excepted,) = report["excepted_records"]
    assert (excepted["reference_number"], excepted["line_number"]) == ("B-1", 3)
    assert excepted["exception_reason"] == f"{REASON} (approved by A. Person)"
    shown = project.run("--validate-only", "--source", source).stdout
    assert f"fix: nothing: {REASON} (approved by A. Person)" in " ".join(shown.split())
    rejected = sorted(home.output.glob("rejected_*.csv"))[-1].read_text(encoding="utf-8")
    assert f"nothing, it is left out: {REASON} (approved by A. Person)" in rejected
    states = "select line_number, state, record_numbers from validation.int_incident_exceptions order by line_number"
    assert home.query(states) == [(2, "used", [2]), (3, "expired", []), (4, "unused", [])]
    hold = "select distinct status, failures from audit.fct_dbt_results where name = 'incident_exceptions_hold'"
    assert home.query(f"{hold} and failures > 0") == [("warn", 2)]

    expired = home.csv("expired.csv", GOOD.format(1), UNTITLED.format(2))
    assert project.run("--validate-only", "--source", expired).returncode == 1
    assert home.query(states) == [(2, "unused", []), (3, "expired", [2]), (4, "unused", [])]


def test_a_threshold_lets_the_valid_records_pass_and_nothing_else(project: Project, sandbox: Sandbox):
    home = project.home
    card = project.folder / "dbt_project" / "models" / "payload" / "incident.yml"
    text = card.read_text(encoding="utf-8")
    assert text.count(THRESHOLD) == 1
    card.write_text(text.replace(THRESHOLD, 'error_if: "> 10"'), encoding="utf-8")
    bad = [UNTITLED.format(number) for number in range(5)]
    done = project.run("--import", "--json", "--source", home.csv("some.csv", GOOD.format(1), *bad, GOOD.format(2)))
    assert done.returncode == 1, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert (summary["gate"], summary["exit_code"]) == ("open", 1)
    ledger = summary["ledger"]
    assert (ledger["total_records"], ledger["invalid_records"], ledger["created_records"]) == (7, 5, 2)
    assert ledger["closes"] is True
    assert sorted(record["reference_number"] for record in sandbox.records()) == ["G-1", "G-2"]

    malformed = home.csv("malformed.csv", GOOD.format(3), "B-6,too short")
    done = project.run("--import", "--source", malformed)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "gate closed: 1 records are invalid, nothing was posted" in done.stderr
    assert len(sandbox.records()) == 2


def test_the_history_says_what_is_new_gone_and_left(home: Home):
    folders = [home.folder / name for name in ("monday", "tuesday")]
    for folder in folders:
        folder.mkdir()
    moved = ",t,no reference either,safety,low,open,2026-01-05,"
    first = home.csv(
        "monday/export.csv", UNTITLED.format(1), UNTITLED.format(2), ",t,no reference,safety,low,open,x,", moved
    )
    second = home.csv("tuesday/export.csv", moved, UNTITLED.format(2).replace("safety", "volcano"), UNTITLED.format(3))
    for source in (first, home.csv("other.csv", UNTITLED.format(4)), second):
        assert home.loader("--validate-only", "--source", source).returncode == 1
    history = home.query(
        "select dense_rank() over (order by run_id), state, record, code, field, previous_run_id is null "
        "from audit.rpt_issue_history where source_name = 'export.csv'"
    )
    unnamed = "select left(record_hash, 16), line_number from audit.fct_issues where reference_number is null "
    lines = {f"record {mark}": f"line {line}" for mark, line in home.query(f"{unnamed} order by run_id desc")}
    assert sorted((run, lines.get(record, record), state, *rest) for run, state, record, *rest in history) == [
        (1, "B-1", "new", "required", "title", True),
        (1, "B-2", "new", "required", "title", True),
        (1, "line 4", "new", "invalid_date", "incident_date", True),
        (1, "line 4", "new", "required", "reference_number", True),
        (1, "line 5", "new", "required", "reference_number", True),
        (2, "B-1", "gone", "required", "title", False),
        (2, "B-2", "new", "unknown_enum", "incident_type", False),
        (2, "B-2", "remains", "required", "title", False),
        (2, "B-3", "new", "required", "title", False),
        (2, "line 4", "gone", "invalid_date", "incident_date", False),
        (2, "line 4", "gone", "required", "reference_number", False),
        (2, "line 5", "remains", "required", "reference_number", False),
    ]
    others = home.query("select state, record from audit.rpt_issue_history where source_name = 'other.csv'")
    assert others == [("new", "B-4")]


def test_a_line_of_the_enum_map_that_is_not_complete_is_named(project: Project):
    enum_map = project.folder / "data" / "reference" / "enum_map.csv"
    enum_map.write_text(
        enum_map.read_text(encoding="utf-8") + "incident,incident_type,slips/trips,\n", encoding="utf-8"
    )
    done = project.run("--validate-only", "--source", project.home.csv("good.csv", GOOD.format(1)))
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert "enum_map.csv: the row incident,incident_type,slips/trips lacks its api_value; complete it" in line


def test_two_lines_of_the_enum_map_that_differ_in_spelling_alone_and_contradict_are_named(project: Project):
    enum_map = project.folder / "data" / "reference" / "enum_map.csv"
    enum_map.write_text(
        enum_map.read_text(encoding="utf-8") + "incident,incident_type,Near-Miss,injury\n", encoding="utf-8"
    )
    done = project.run("--validate-only", "--source", project.home.csv("good.csv", GOOD.format(1)))
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert "enum_map.csv: the row incident,incident_type,Near-Miss,injury differs from another one only in case" in line
