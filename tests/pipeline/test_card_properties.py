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
            card_of(project), "    data_tests:\n      - fits_its_card", new + "    data_tests:\n      - fits_its_card"
        )
    done = build(project, empty_home, *arguments, source=source)
    assert done.returncode == 0, done.stdout
    assert empty_home.query("select record_hash, site, shift from payload.fct_incident_payload") == [
        (before, "North", None)
    ]
