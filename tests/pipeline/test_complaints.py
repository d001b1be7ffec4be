"""The second entity, from its card alone: created once, read back, explained; neither entity is in the other's way."""

import json
from pathlib import Path

import pytest

from loader.card import entities, read_card
from sandbox.process import Sandbox
from tests.support import GOLDEN, ROOT, Home

COMPLAINTS = ROOT / "data" / "etl_source" / "golden_sample_complaints.csv"
OF_COMPLAINTS = ("--entity-type", "complaint")
HEADER = "external_ref,title,description,complainant_name,received_date,priority,complainant_email"


def test_the_golden_complaints_are_created_once_and_read_back(home: Home):
    found = []
    for _ in range(2):
        done = home.loader("--import", "--verify", "--json", "--source", COMPLAINTS, *OF_COMPLAINTS)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        found.append((summary["imported_records"], summary["skipped_records"]))
    assert found == [(5, 0), (0, 5)]
    read_back = home.query("select result, verdict, count(*) from audit.fct_readback group by all order by all")
    assert read_back == [("created", "identical", 5), ("exists", "identical", 5)]
    ids = home.query("select count(distinct api_id), count(*) from audit.fct_import_records where api_id is not null")
    assert ids == [(5, 10)], "a 409 names the record that is there"


def test_a_dirty_file_is_explained_and_a_complaint_without_its_key_is_never_sent(home: Home, sandbox: Sandbox):
    source = home.folder / "dirty.csv"
    records = (
        ",T,d,N,2026-01-05,high,",
        "C-2,T,d,N,2199-01-01,urgnt,no address",
        "C-3,T,d,N,2026-01-05,Urgent,a.b@c.org",
    )
    source.write_text("\n".join([HEADER, *records]) + "\n", encoding="utf-8")
    done = home.loader("--import", "--source", source, *OF_COMPLAINTS)
    assert done.returncode == 1, done.stderr
    assert [request for request in sandbox.requests() if request["method"] == "POST"] == []
    issues = "select record_number, code, field, suggestion from audit.fct_issues order by all"
    assert home.query(issues) == [
        (1, "required", "external_ref", None),
        (2, "unknown_enum", "priority", "urgent"),
        (2, "wrong_form", "complainant_email", None),
    ]
    told = home.loader("explain", "C-2").stdout
    assert "C-2 (complaint): invalid" in told
    assert "complainant_email 'no address' is not an e-mail address" in told


@pytest.mark.parametrize(
    ("source", "asked", "fits"), [(COMPLAINTS, "incident", "complaint"), (GOLDEN, "complaint", "incident")]
)
def test_a_file_of_the_other_entity_is_refused_and_that_is_named(empty_home: Home, source: Path, asked: str, fits: str):
    done = empty_home.loader("--validate-only", "--source", source, "--entity-type", asked)
    assert done.returncode == 2
    assert done.stderr.endswith(f"it has the columns of another entity: --entity-type {fits}\n")


def test_the_entity_is_asked_for_with_a_list(empty_home: Home):
    done = empty_home.loader("--validate-only", "--source", GOLDEN, ETL_ENTITY="")
    assert done.returncode == 2
    assert f"add --entity-type with one of: {', '.join(entities())}" in done.stderr


def test_a_probe_compares_the_card_that_is_asked_for_or_that_of_the_settings(home: Home):
    for asked, compared in (((), "incident"), (OF_COMPLAINTS, "complaint")):
        done = home.probe("staging", *asked, ETL_ENTITY="")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["summary"] == {"total": 4, "passed": 4, "failed": 0}
        assert home.documents("contract_probe")[-1]["entity_type"] == compared


@pytest.mark.dbt
def test_a_red_entity_does_not_close_the_gate_of_another(home: Home, sandbox: Sandbox):
    source = home.folder / "dirty.csv"
    source.write_text(f"{HEADER}\nC-1,,d,N,2026-01-05,high,\n", encoding="utf-8")
    arguments = ("build", "--exclude-resource-type", "unit_test")
    done = home.dbt(*arguments, ETL_SOURCE=str(source), ETL_ENTITY="complaint")
    assert done.returncode == 1, done.stdout
    assert home.loader("--import", *OF_COMPLAINTS).returncode == 1
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    assert len(sandbox.records()) == 5


def test_a_build_of_one_entity_runs_no_test_of_another(home: Home):
    before = home.query("select invocation_id from audit.fct_dbt_invocations")
    done = home.loader("--validate-only", "--source", COMPLAINTS, *OF_COMPLAINTS)
    assert done.returncode == 0, done.stderr
    ran = "from audit.fct_dbt_results where invocation_id <> ? and status <> 'not_run' and resource_type <> 'seed'"
    names = {name for (name,) in home.query(f"select name {ran}", before[0][0])}
    assert {read_card("complaint").payload_model, "complaint_payload_fits_its_card"} <= names
    assert {name for name in names if "incident" in name} == set()
    unrun = "select count(*) from audit.fct_dbt_results where invocation_id <> ? and entity_type = 'complaint' "
    assert home.query(unrun + "and status = 'not_run'", before[0][0]) == [(0,)]
