"""The dbt project: documented to the last column, one card that everything follows, and a record of its own runs."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from loader.card import entities
from tests.support import CARD, FIELDS, GOLDEN, ROOT, Home, new_home
from tests.warm import DBT as DBT_COMMAND

DBT = ROOT / "dbt_project"
COPIED = ("dbt_project.yml", "profiles.yml", "selectors.yml", "dbt_project", "data/reference", "data/etl_source")


@pytest.fixture
def copied(place: Path, built: Path) -> Home:
    """Return a home with the golden sample built; nothing in it needs an API."""
    return new_home(place, built)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the dbt project, to be changed."""
    folder = tmp_path / "project"
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    return folder


def replace(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path}: {before!r} stands there {text.count(before)} times"
    path.write_text(text.replace(before, after), encoding="utf-8")


def change_title(project: Path, key: str, before: object, after: object) -> None:
    """Change what the card of a copied project says of the title."""
    (path,) = (project / "dbt_project" / "models").rglob("incident.yml")
    (line,) = re.findall(r"- name: title\n(?:(?! *- name:)[^\n]*\n)*", path.read_text(encoding="utf-8"))
    replace(path, line, line.replace(f"{key}: {before},", f"{key}: {after},"))
    assert line not in path.read_text(encoding="utf-8"), "nothing has changed"


def build(project: Path, home: Home, *arguments: str, source: Path = GOLDEN) -> subprocess.CompletedProcess[str]:
    """Run `dbt build` in a copied project, into this home's database."""
    own = {"DBT_TARGET_PATH": str(project / "target"), "ETL_SOURCE": str(source)}
    return home.run([DBT_COMMAND, "--no-use-colors", "build", *arguments], folder=project, **own)


def artifact(home: Home, name: str) -> Any:
    path = home.target / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def described_columns(node: Any) -> set[str]:
    return {name.lower() for name, column in node["columns"].items() if column["description"].strip()}


def columns_of_card(card: Any) -> set[str]:
    """Return what a card describes: its fields, and the columns of the file that they come from."""
    metas = [column["config"].get("meta", {}) for column in card["columns"].values()]
    return described_columns(card) | {meta["source_column"].lower() for meta in metas if "source_column" in meta}


def code_rows() -> list[dict[str, str]]:
    with (ROOT / "data" / "reference" / "issue_codes.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_model_seed_and_column_is_described(copied: Home):
    done = copied.dbt("docs", "generate")
    assert done.returncode == 0, done.stdout
    documented = {
        unique_id: node
        for unique_id, node in artifact(copied, "manifest")["nodes"].items()
        if node["resource_type"] in ("model", "seed")
    }
    catalogue = artifact(copied, "catalog")["nodes"]
    assert documented.keys() <= catalogue.keys(), "something was documented and not built"
    assert len(documented) > 20
    # The stages of every entity are made by the same macros: their columns are described with the first entity's, and
    # those of the fields in the card alone.
    stages = {
        card["config"]["meta"]["entity"]: card for card in documented.values() if "entity" in card["config"]["meta"]
    }
    for unique_id, node in documented.items():
        assert node["description"].strip(), unique_id
        described = described_columns(node)
        for entity, card in stages.items():
            if f"_{entity}" in node["name"] and node is not card:
                stage = documented[unique_id.replace(f"_{entity}", f"_{CARD.entity}")]
                elsewhere = columns_of_card(card) | described_columns(stage)
                described |= elsewhere & {name.lower() for name in catalogue[unique_id]["columns"]}
        assert described == {name.lower() for name in catalogue[unique_id]["columns"]}, unique_id


def test_the_unit_tests_of_the_models_pass(copied: Home):
    done = copied.dbt("test", "--select", "test_type:unit")
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"PASS=(\d+)", done.stdout)[-1]) > 5


def test_audit_tables_are_what_the_yml_says(copied: Home):
    pages = sorted((DBT / "models" / "audit").glob("*.yml"))
    documented = [model for page in pages for model in yaml.safe_load(page.read_text(encoding="utf-8"))["models"]]
    assert len(documented) > 15
    for model in documented:
        found = copied.query(
            "select column_name, data_type from information_schema.columns "
            "where table_schema = 'audit' and table_name = ? order by ordinal_position",
            model["name"],
        )
        assert [name for name, _ in found] == [column["name"] for column in model["columns"]], model["name"]
        typed = [(column["name"], column["data_type"].upper()) for column in model["columns"] if "data_type" in column]
        # What reports share among themselves has no contract.
        assert typed == ([] if model["name"].startswith("int_") else found)


def test_a_report_that_somebody_has_changed_is_made_again_by_any_build(copied: Home):
    wanted = copied.query("select sql from duckdb_views() where schema_name = 'audit' order by view_name")
    copied.query("create or replace view audit.rpt_open_problems as select 'none' as problem")
    copied.query("drop macro table contract.payload_digest")
    done = copied.dbt("build", "--select", "enum_map")
    assert done.returncode == 0, done.stdout
    assert copied.query("select sql from duckdb_views() where schema_name = 'audit' order by view_name") == wanted
    assert copied.query("select payload_records from contract.payload_digest('payload.fct_incident_payload')") == [(5,)]


def test_the_codes_that_can_be_emitted_are_the_codes_that_are_explained():
    rows = code_rows()
    codes = [row["code"] for row in rows]
    assert len(codes) == len(set(codes))
    assert all(all({**row, "other_severity": "-"}.values()) for row in rows), "a cell of issue_codes is blank"
    sql = "".join(path.read_text(encoding="utf-8") for path in sorted(DBT.rglob("*.sql")))
    rules = set(re.findall(r"'(\w+)' as code,?$", sql, re.MULTILINE))
    scan = (ROOT / "loader" / "landing" / "scan.py").read_text(encoding="utf-8")
    malformed = set(re.findall(r'"([a-z]+(?:_[a-z0-9]+)+)"', scan))
    assert {"required", "too_long", "truncated"} <= rules
    assert {"bare_quote", "too_few_columns"} <= malformed
    assert rules | malformed == set(codes)
    assert rules == set(re.findall(r"macro rule_(\w+)\(", sql)), "a rule is found by its code"


def test_templates_use_only_placeholders_that_are_filled():
    macro = (DBT / "macros" / "rules.sql").read_text(encoding="utf-8").partition("macro filled_template(")[2]
    filled = set(re.findall(r"^\s+'(\w+)':", macro, re.MULTILINE)) | {"value"}
    assert len(filled) == 7
    used = {name for row in code_rows() for name in re.findall(r"\{(\w+)\}", row["message"] + row["how_to_fix"])}
    assert used <= filled
    assert {"value", "source_column"} <= used


@pytest.mark.dbt
def test_the_limit_stands_in_the_card_alone(project: Path, empty_home: Home):
    change_title(project, "max_length", FIELDS["title"].max_length, 10)
    done = build(project, empty_home, "--exclude-resource-type", "unit_test")
    assert done.returncode == 0, done.stdout
    issues = empty_home.query(
        "select record_number, code, field, severity, allowed, counted > 10 "
        "from validation.int_incident_issues order by record_number"
    )
    assert issues == [(number, "truncated", "title", "warning", 10, True) for number in range(1, 6)]
    titles = [title for (title,) in empty_home.query("select title from payload.fct_incident_payload")]
    assert len(titles) == 5
    assert all(1 <= len(title) <= 10 for title in titles)
    published = "select max_length from contract.dim_payload_fields where field = 'title' and entity = 'incident'"
    assert empty_home.query(published) == [(10,)]
    changed = empty_home.query("select distinct rule, field from validation.int_incident_changes where field = 'title'")
    assert changed == [("truncated", "title")]


@pytest.mark.dbt
def test_another_limit_and_a_renamed_column_touch_the_card_alone(project: Path, empty_home: Home):
    (card,) = (project / "dbt_project" / "models").rglob("incident.yml")
    key, title = FIELDS[CARD.key], FIELDS["title"]
    assert key.max_length
    replace(card, f"is_key: true, max_length: {key.max_length},", f"is_key: true, max_length: {key.max_length + 5},")
    change_title(project, "source_column", title.source_column, "heading")
    change_title(project, "max_length", title.max_length, 200)
    source = project / "renamed.csv"
    header, records = GOLDEN.read_text(encoding="utf-8").split("\n", 1)
    columns = ["heading" if name == title.source_column else name for name in header.split(",")]
    source.write_text(",".join(columns) + "\n" + records, encoding="utf-8")
    done = build(project, empty_home, source=source)
    assert done.returncode == 0, done.stdout
    ((changed,),) = empty_home.query("select count(*) from payload.fct_incident_payload where length(title) > 0")
    assert changed == 5


@pytest.mark.dbt
def test_a_misspelt_source_column_is_refused_at_landing(project: Path, empty_home: Home):
    change_title(project, "source_column", FIELDS["title"].source_column, "titel")
    done = build(project, empty_home, "--exclude-resource-type", "unit_test")
    assert done.returncode == 1
    assert re.search(r"SourceRefused: .*titel", done.stdout), done.stdout
    of_incidents = "select count(*) from audit.fct_dbt_payloads where entity_type = 'incident'"
    assert empty_home.query(of_incidents) == [(0,)]
    missing = empty_home.query(
        "select count(*) from information_schema.tables where table_name = 'fct_incident_payload'"
    )
    assert missing == [(0,)]


def test_a_misspelt_column_of_the_payload_breaks_its_contract(project: Path, copied: Home):
    model = project / "dbt_project" / "macros" / "payload.sql"
    replace(model, "staged.line_number,", "staged.line_number as line_nmber,")
    before = copied.query("select count(*) from audit.fct_dbt_payloads")
    done = build(project, copied, "--select", "fct_incident_payload")
    assert done.returncode == 1
    assert "line_nmber" in done.stdout
    assert "enforced contract" in done.stdout
    assert copied.query("select count(*) from audit.fct_dbt_payloads") == before


def test_the_hook_keeps_the_results_of_a_whole_build(copied: Home):
    ((invocation, command),) = copied.query("select invocation_id, command from audit.fct_dbt_invocations")
    assert command == "build"
    results = copied.query("select resource_type, status, count(*) from audit.fct_dbt_results group by all")
    kept = {(kind, status): count for kind, status, count in results}
    assert set(kept) == {("seed", "success"), ("model", "success"), ("test", "pass")}
    assert kept["test", "pass"] > 15
    assert copied.query("select distinct invocation_id, entity_type from audit.fct_dbt_results order by all") == [
        (invocation, entity) for entity in entities()
    ]
    payload = "select payload_records, digest from contract.payload_digest('payload.fct_incident_payload')"
    ((records, digest),) = copied.query(payload)
    assert records == 5
    of_incidents = "select * from audit.fct_dbt_payloads where entity_type = 'incident'"
    assert copied.query(of_incidents) == [(invocation, "incident", 5, digest)]


def test_the_hook_names_what_a_partial_test_left_out(copied: Home):
    ((whole,),) = copied.query("select invocation_id from audit.fct_dbt_invocations")
    done = copied.dbt("test", "--select", "fct_incident_payload")
    assert done.returncode == 0, done.stdout
    of_partial = "from audit.fct_dbt_results where invocation_id <> ?"
    status = dict(copied.query(f"select status, count(*) {of_partial} group by status", whole))
    assert set(status) == {"pass", "not_run"}
    assert (
        sum(status.values())
        == copied.query("select count(*) from audit.fct_dbt_results where invocation_id = ?", whole)[0][0]
    )
    left_out = {name for (name,) in copied.query(f"select name {of_partial} and status = 'not_run'", whole)}
    assert {"fct_incident_payload", "raw_incident", "enum_map_is_sound"} <= left_out
    passed = {name for (name,) in copied.query(f"select name {of_partial} and status = 'pass'", whole)}
    assert "incident_counts_close" in passed
    assert copied.query("select count(*) from audit.fct_dbt_payloads") == [(len(entities()),)]
