"""A fixture for every code: the file that shows it, the issues that it must give, a row and a remedy in the RUNBOOK.

One `dbt build` makes the database and the SQL; then each fixture is landed by the landing's own code and run through
the SQL that dbt compiled, in dbt's order, which takes a tenth of a second in place of twelve.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loader.landing.land import land
from tests.support import FIXTURES, ROOT, Home, filled, fixture, new_home

COLUMNS = ["line_number", "reference_number", "severity", "code", "field", "suggestion", "message"]
BUILT = "invalid_date"


def rows_of(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def expected_of(code: str) -> list[dict[str, str]]:
    """Return the issues that the fixture of a code must give."""
    return rows_of(filled(FIXTURES / "csv" / f"{code}.issues.csv"))


SEED = rows_of((ROOT / "data" / "reference" / "issue_codes.csv").read_bytes())
# Rules of card properties that the shipped card of this entity has not; test_card_properties shows them.
BY_PROPERTY = {"wrong_form", "too_short", "in_capitals"}
CODES = [row["code"] for row in SEED if row["code"] not in BY_PROPERTY]


@dataclass
class Pipeline:
    """The database of one build, and the SQL of its staging and validation models in dbt's order."""

    home: Home
    connection: duckdb.DuckDBPyConnection
    models: list[tuple[str, str]]
    kinds: dict[str, str]

    def run(self, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Land and validate the fixture of a code in place of the file before."""
        monkeypatch.setenv("ETL_ENTITY", "incident")
        monkeypatch.setenv("ETL_SOURCE", str(fixture(f"csv/{code}.csv", self.home.folder)))
        landed = land(self.connection, self.connection.table("contract.dim_payload_fields"), "raw_incident")
        landed.create_view("fixture", replace=True)
        self.connection.execute("create or replace table landing.raw_incident as from fixture")
        for name, sql in self.models:
            self.connection.execute(f"create or replace {self.kinds[name]} {name} as {sql}")

    def issues(self) -> list[dict[str, str]]:
        """Return the issues as the fixtures' CSV files hold them, in the order of the file."""
        issues = self.connection.table("validation.int_incident_issues").order("record_number, severity, code, field")
        found = issues.project(*COLUMNS).fetchall()
        return [dict(zip(COLUMNS, ["" if cell is None else str(cell) for cell in row], strict=True)) for row in found]


def in_order(nodes: dict[str, Any]) -> list[str]:
    """Return the ids of the models, each after the models that it reads."""
    ordered: list[str] = []
    while left := [name for name in nodes if name not in ordered]:
        ordered += [name for name in left if not set(nodes[name]["depends_on"]["nodes"]) & set(left)]
    return ordered


@pytest.fixture(scope="module")
def pipeline(workplace: Path) -> Iterator[Pipeline]:
    home = new_home(workplace / "codes")
    source = fixture(f"csv/{BUILT}.csv", home.folder)
    done = home.dbt("build", "--exclude-resource-type", "unit_test", ETL_SOURCE=str(source))
    assert f"Got {len(expected_of(BUILT))} results, configured to fail" in done.stdout, done.stdout
    target = home.target
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    nodes = {
        unique_id: node
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["schema"] in ("staging", "validation")
    }
    compiled = target / "compiled" / manifest["metadata"]["project_name"]
    models = [
        (
            f"{nodes[name]['schema']}.{nodes[name]['alias']}",
            (compiled / nodes[name]["original_file_path"]).read_text(encoding="utf-8"),
        )
        for name in in_order(nodes)
    ]
    assert len(models) > 5
    with duckdb.connect(str(home.database)) as connection:
        kinds = {f"{node['schema']}.{node['alias']}": node["config"]["materialized"] for node in nodes.values()}
        yield Pipeline(home, connection, models, kinds)


def test_the_short_way_gives_what_the_build_gave(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    built = pipeline.issues()
    assert len(built) > 10
    pipeline.run("required", monkeypatch)
    assert pipeline.issues() != built
    pipeline.run(BUILT, monkeypatch)
    assert pipeline.issues() == built


@pytest.mark.parametrize("code", CODES)
def test_the_fixture_gives_the_expected_issues(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, code: str):
    pipeline.run(code, monkeypatch)
    expected = expected_of(code)
    assert code in {issue["code"] for issue in expected}
    assert pipeline.issues() == expected
    sound = pipeline.connection.execute(
        "select count(*) from validation.int_incident_records where status = 'valid' and len(warning_codes) = 0"
    ).fetchall()
    assert sound[0][0] > 0, "the fixture has no sound record beside the bad ones"


def test_every_code_has_a_fixture_and_every_fixture_a_code():
    assert {path.name for path in (FIXTURES / "csv").iterdir()} == {
        name for code in CODES for name in (f"{code}.csv", f"{code}.issues.csv")
    }


@pytest.mark.parametrize("row", SEED, ids=[row["code"] for row in SEED])
def test_every_code_has_a_remedy_and_its_row_in_the_runbook(row: dict[str, str]):
    assert len(row["how_to_fix"].strip()) > 10
    runbook = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8").replace("`<API value>`", "<API value>")
    assert f"| `{row['code']}` | {row['severity']} | {row['meaning']} | {row['how_to_fix']} |" in runbook
