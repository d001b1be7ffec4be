"""A fixture for every code: the file that shows it, the issues that it must give, a row and a remedy in the RUNBOOK.

One `dbt build` makes the database and the SQL; then each fixture is landed by the landing's own code and run through
the SQL that dbt compiled, in dbt's order, which takes a tenth of a second in place of twelve.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loader.card import read_card
from loader.landing.land import land
from tests.support import CARD, FIELDS, FIXTURES, GOLDEN, ROOT, Home, filled, fixture, new_home

COLUMNS = ["line_number", "reference_number", "severity", "code", "field", "suggestion", "message"]
BUILT = "invalid_date"
# The day of the build in compiled SQL; the other days in it are of the years before 2000.
DAY_OF_CELLS = "2026-11-28"
TODAY = re.compile(r"date '2\d{3}-\d{2}-\d{2}'")


def rows_of(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def expected_of(code: str) -> list[dict[str, str]]:
    """Return the issues that the fixture of a code must give."""
    return rows_of(filled(FIXTURES / "csv" / f"{code}.issues.csv"))


SEED = rows_of((ROOT / "data" / "reference" / "issue_codes.csv").read_bytes())
# Rules of card properties that the shipped card of this entity has not; test_card_properties shows them.
BY_PROPERTY = {"wrong_form", "too_short", "in_capitals"}
# What only a file of ours that comes back can break; test_returned shows it.
BY_HISTORY = {"changed_reference"}
CODES = [row["code"] for row in SEED if row["code"] not in BY_PROPERTY | BY_HISTORY]


@dataclass
class Pipeline:
    """The database of one build, and the SQL of its staging and validation models in dbt's order."""

    home: Home
    connection: duckdb.DuckDBPyConnection
    models: list[tuple[str, str]]
    kinds: dict[str, str]

    def run(self, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Land and validate the fixture of a code in place of the file before."""
        self.validate("incident", fixture(f"csv/{code}.csv", self.home.folder), monkeypatch)

    def validate(self, entity: str, source: Path, monkeypatch: pytest.MonkeyPatch, today: str = "") -> None:
        """Land and validate a file in place of the one before, as of the day of the build or of another one."""
        monkeypatch.setenv("ETL_ENTITY", entity)
        monkeypatch.setenv("ETL_SOURCE", str(source))
        landed = land(self.connection, self.connection.table("contract.dim_payload_fields"), f"raw_{entity}")
        landed.create_view("fixture", replace=True)
        self.connection.execute(f"create or replace table landing.raw_{entity} as from fixture")
        for name, sql in self.models:
            if f"_{entity}" in name:
                dated = TODAY.sub(f"date '{today}'", sql) if today else sql
                self.connection.execute(f"create or replace {self.kinds[name]} {name} as {dated}")

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


def test_each_cell_of_the_collection_gets_its_verdict(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    """A line of cells.csv is a cell in an otherwise sound record; CONTRIBUTING.md says how to add one."""
    cells = rows_of((FIXTURES / "cells.csv").read_bytes())
    assert len(cells) >= 300
    for entity in sorted({cell["entity"] for cell in cells}):
        of_entity = [cell for cell in cells if cell["entity"] == entity]
        source = pipeline.home.folder / f"cells_{entity}.csv"
        source.write_text(collected(entity, of_entity), encoding="utf-8", newline="")
        pipeline.validate(entity, source, monkeypatch, today=DAY_OF_CELLS)
        wrong = [
            (cell, found) for cell, found in zip(of_entity, verdicts(pipeline, entity, of_entity), strict=True) if found
        ]
        assert wrong == []


@pytest.mark.parametrize(
    ("others", "read"),
    [
        (["25/03/2026"] * 3, "2026-03-04"),
        (["3/25/2026"] * 3, "2026-04-03"),
        (["25/03/2026"] * 2, ""),
        (["25/03/2026"] * 3 + ["3/25/2026"], ""),
    ],
)
def test_the_other_dates_of_a_file_tell_how_to_read_an_ambiguous_one(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, others: list[str], read: str
):
    (field,) = [name for name, field in FIELDS.items() if field.format == "date"]
    cells = [{"field": field, "value": value} for value in ["04/03/2026", *others]]
    source = pipeline.home.folder / "dates.csv"
    source.write_text(collected(CARD.entity, cells), encoding="utf-8", newline="")
    pipeline.validate(CARD.entity, source, monkeypatch, today=DAY_OF_CELLS)
    first = pipeline.issues()[0]
    assert (first["code"], first["suggestion"]) == ("invalid_date", read)
    assert ("the other dates of the file have" in first["message"]) == bool(read)


def collected(entity: str, cells: list[dict[str, str]]) -> str:
    """Return a file with a record for each cell: the first of the golden sample, with another key and this cell."""
    card = read_card(entity)
    columns = {field.name: field.source_column for field in card.fields}
    sound = rows_of((GOLDEN.parent / f"golden_sample_{entity}s.csv").read_bytes())[0]
    text = io.StringIO(newline="")
    file = csv.DictWriter(text, list(sound), lineterminator="\n")
    file.writeheader()
    for number, cell in enumerate(cells):
        file.writerow(sound | {columns[card.key]: f"CELL-{number}", columns[cell["field"]]: cell["value"]})
    return text.getvalue()


def verdicts(pipeline: Pipeline, entity: str, cells: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return for each cell what differs from what it should have got; nothing of a record but its cell is wrong."""
    found = pipeline.connection.table(f"staging.stg_{entity}").order("record_number")
    staged = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    broken = pipeline.connection.table(f"validation.int_{entity}_issues").order("record_number, code")
    issues: dict[int, list[tuple[str, str, str, str]]] = {}
    for number, *issue in broken.project("record_number, field, code, coalesce(suggestion, ''), message").fetchall():
        issues.setdefault(number, []).append(tuple(issue))
    differing = []
    for number, cell in enumerate(cells, 1):
        of_record = issues.get(number, [])
        got = {
            "codes": " ".join(code for _, code, _, _ in of_record),
            "suggestion": " ".join(suggestion for _, _, suggestion, _ in of_record if suggestion),
            "becomes": str(staged[number - 1][cell["field"]]),
            "says": " / ".join(message for *_, message in of_record),
        }
        right = {
            "codes": got["codes"] == cell["codes"] and all(field == cell["field"] for field, *_ in of_record),
            "suggestion": got["suggestion"] == cell["suggestion"],
            "becomes": cell["becomes"] in ("", got["becomes"]),
            "says": cell["says"] in got["says"],
        }
        differing.append({name: got[name] for name, is_right in right.items() if not is_right})
    return differing


def test_every_code_has_a_fixture_and_every_fixture_a_code():
    assert {path.name for path in (FIXTURES / "csv").iterdir()} == {
        name for code in CODES for name in (f"{code}.csv", f"{code}.issues.csv")
    }


@pytest.mark.parametrize("row", SEED, ids=[row["code"] for row in SEED])
def test_every_code_has_a_remedy_and_its_row_in_the_runbook(row: dict[str, str]):
    assert len(row["how_to_fix"].strip()) > 10
    runbook = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8").replace("`<API value>`", "<API value>")
    assert f"| `{row['code']}` | {row['severity']} | {row['meaning']} | {row['how_to_fix']} |" in runbook
