"""What a line in the card does: each test changes the card of a copied project, and nothing else."""

import re
from pathlib import Path

import pytest

from tests.pipeline.test_dbt_project import build, project, replace  # noqa: F401 - a fixture
from tests.support import HEADER, Home

pytestmark = pytest.mark.dbt
GOOD = "{},Loose handrail,A handrail is loose,safety,low,open,{},{}"


def card_of(copy: Path) -> Path:
    return copy / "dbt_project" / "models" / "payload" / "incident.yml"


def written(home: Home, header: str, *records: str) -> Path:
    path = home.folder / "export.csv"
    path.write_text("\n".join([header, *records]) + "\n", encoding="utf-8")
    return path


def test_a_pattern_a_date_to_come_and_a_key_that_the_api_does_not_ask_for(project: Path, empty_home: Home):  # noqa: F811
    card = card_of(project)
    replace(
        card, "{source_column: location, ", "{source_column: location, pattern: 'Bay [0-9]+', pattern_form: a bay, "
    )
    replace(card, "format: date}", "format: date, allows_future: true}")
    key = re.search(r"- name: reference_number\n.*?constraints: \[\{type: not_null\}\]\n", card.read_text(), re.DOTALL)
    assert key
    replace(card, key[0], key[0].replace("        constraints: [{type: not_null}]\n", ""))
    records = GOOD.format("R-1", "2999-01-01", "Bay 7"), GOOD.format("R-2", "2026-01-05", "Stair")
    source = written(empty_home, HEADER, *records, GOOD.format("", "2026-01-05", ""))
    done = build(project, empty_home, "--exclude-resource-type", "unit_test", source=source)
    assert done.returncode == 1, done.stdout
    issues = "select record_number, severity, code, field, message from validation.int_incident_issues order by all"
    assert empty_home.query(issues) == [
        (2, "error", "wrong_form", "location", "location 'Stair' is not a bay"),
        (3, "error", "required", "reference_number", "external_ref is blank"),
    ]
    assert empty_home.query("select reference_number from payload.fct_incident_payload") == [("R-1",)]


def test_a_least_length_capitals_and_severities_of_the_card_s_own(project: Path, empty_home: Home):  # noqa: F811
    card = card_of(project)
    replace(card, "{source_column: location, ", "{source_column: location, min_length: 4, ")
    replace(card, "{source_column: title, ", "{source_column: title, no_capitals: true, ")
    replace(
        card,
        "        look_up: search\n",
        "        look_up: search\n        severities: {too_short: warning, contains_html: error}\n",
    )
    records = [
        GOOD.format("R-1", "2026-01-05", "Bay").replace("Loose handrail", "LOOSE HANDRAIL"),
        GOOD.format("R-2", "2026-01-05", "Bay 7").replace("Loose handrail", "PPE 2026"),
        GOOD.format("R-3", "2026-01-05", "").replace("A handrail", "A <b>handrail"),
    ]
    done = build(
        project, empty_home, "--exclude-resource-type", "unit_test", source=written(empty_home, HEADER, *records)
    )
    assert done.returncode == 1, done.stdout
    issues = "select record_number, severity, code, field, message from validation.int_incident_issues order by all"
    assert empty_home.query(issues) == [
        (1, "warning", "in_capitals", "title", "title 'LOOSE HANDRAIL' is written in capital letters"),
        (1, "warning", "too_short", "location", "location has 3 characters, at least 4 are asked for"),
        (3, "error", "contains_html", "description", "description contains '<b>', which the API removes or rewrites"),
    ]
    assert empty_home.query("select reference_number from payload.fct_incident_payload") == [("R-1",), ("R-2",)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("required: warning", "required the severity warning, but it is always error"),
        ("too_short: note", "too_short the severity note, but it can be error or warning"),
        ("too_shrot: warning", "but there is no such code in data/reference/issue_codes.csv"),
    ],
)
def test_a_severity_that_a_rule_cannot_have_stops_the_build(asked: str, said: str, project: Path, empty_home: Home):  # noqa: F811
    replace(card_of(project), "look_up: search", f"look_up: search\n        severities: {{{asked}}}")
    done = build(project, empty_home, "--select", "+dim_entities", "issue_codes")
    assert done.returncode == 1, done.stdout
    ((refusal,),) = empty_home.query("select refusal from test_failures.severities_are_allowed")
    assert said in refusal


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "{source_column: location, max_length",
            "{source_column: location, max_lenght",
            "the field location has the unknown property `max_lenght`",
        ),
        (
            "look_up: search",
            "look_up: search\n        severites: {too_short: warning}",
            "the card has the unknown property `severites`",
        ),
    ],
)
def test_a_property_that_nothing_reads_stops_the_build(
    before: str,
    after: str,
    said: str,
    project: Path,  # noqa: F811
    empty_home: Home,
):
    replace(card_of(project), before, after)
    done = build(project, empty_home, "--select", "+dim_payload_fields")
    assert done.returncode == 1, done.stdout
    assert f"models/payload/incident.yml: {said}; write one of" in done.stdout


def test_an_optional_field_added_to_the_card_changes_no_hash(project: Path, empty_home: Home):  # noqa: F811
    source = written(empty_home, HEADER + ",site", GOOD.format("R-1", "2026-01-05", "Bay 7") + ",North")
    hashes = "select record_hash from payload.fct_incident_payload"
    arguments = ("--select", "+fct_incident_payload", "--exclude-resource-type", "unit_test")
    done = build(project, empty_home, *arguments, source=source)
    assert done.returncode == 0, done.stdout
    ((before,),) = empty_home.query(hashes)
    assert re.fullmatch(r"v2:[0-9a-f]{64}", before)
    for name, column in (("site", "site"), ("shift", "shift")):
        new = f"      - {{name: {name}, data_type: varchar, config: {{meta: {{source_column: {column}}}}}}}\n"
        replace(
            card_of(project),
            "    data_tests:\n      - primary_key: {name: incident_records_are_sent",
            new + "    data_tests:\n      - primary_key: {name: incident_records_are_sent",
        )
    done = build(project, empty_home, *arguments, source=source)
    assert done.returncode == 0, done.stdout
    assert empty_home.query("select record_hash, site, shift from payload.fct_incident_payload") == [
        (before, "North", None)
    ]
