"""The main job: the golden sample through dbt into the API, twice, and the second time nothing is created."""

import json

from sandbox.process import Sandbox
from tests.support import GOLDEN, Home


def test_imported_twice_creates_once(home: Home, sandbox: Sandbox):
    first = home.loader("--import", "--source", GOLDEN, "--entity-type", "incident", "--batch-size", "2")
    assert first.returncode == 0, first.stderr
    assert "ready 5 = created 5 + exists 0" in first.stdout
    second = home.loader("--import")
    assert second.returncode == 0, second.stderr
    assert "ready 5 = created 0 + exists 5" in second.stdout
    assert "the counts close" in second.stdout
    posts = [request["status"] for request in sandbox.requests() if request["method"] == "POST"]
    assert sorted(posts) == [201] * 5 + [409] * 5
    assert len(sandbox.records()) == 5

    one, two = home.documents("import_summary")
    assert one["stats"]["imported_records"] == 5
    assert two["stats"]["imported_records"] == 0
    assert two["api_summary"]["created"] == 0
    assert two["api_summary"]["skipped_exists"] == 5
    assert [record["status_code"] for record in two["import_records"]] == [409] * 5
    assert home.query("select result, records from audit.rpt_import_summary order by run_id") == [
        ("created", 5),
        ("exists", 5),
    ]
    assert home.query("select bool_and(closes) from audit.rpt_run_ledger") == [(True,)]


def test_mapped_values_arrive(home: Home, sandbox: Sandbox):
    assert home.loader("--import").returncode == 0
    stored = {record["reference_number"]: record for record in sandbox.records()}
    assert stored["EXT-2026-0001"]["incident_type"] == "hazard"
    assert stored["EXT-2026-0002"]["status"] == "actions_in_progress"
    assert stored["EXT-2026-0004"]["incident_type"] == "near_miss"


def test_offline_modes_need_no_network_no_token_and_leave_reports_only(home: Home, sandbox: Sandbox):
    without = {"QGP_API_TOKEN": "", "QGP_STAGING_API_URL": ""}
    for mode in ("--validate-only", "--dry-run"):
        done = home.loader(mode, **without)
        assert done.returncode == 0, done.stderr
    assert sandbox.requests() == []
    assert len(home.documents("validation_incident")) == 2
    assert len(home.documents("stats_incident")) == 2
    assert len(home.documents("audit")) == 2
    assert home.documents("import_summary") == []
    assert home.query("select count(*) from audit.fct_import_records") == [(0,)]


def test_json_summary_stands_alone(home: Home):
    done = home.loader("--import", "--json")
    assert json.loads(done.stdout)["ledger"]["created_records"] == 5


def test_proxies_and_credentials_of_the_system_are_not_used(home: Home, sandbox: Sandbox):
    (home.folder / ".netrc").write_text("machine 127.0.0.1 login someone password else\n", encoding="utf-8")
    dead = "http://127.0.0.1:9"
    done = home.loader(
        "--import", HTTP_PROXY=dead, http_proxy=dead, ALL_PROXY=dead, NO_PROXY="", no_proxy="", HOME=str(home.folder)
    )
    assert done.returncode == 0, done.stderr
    assert len(sandbox.records()) == 5
