"""The contracts that were verified: kept once each, compared at every probe, and binding for an import."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.probe.documents import TITLE_LIMIT, changed, setting
from tests.probe.hosting import Api, serving
from tests.support import GOLDEN, Home, new_home

SHORTER, LONGER = TITLE_LIMIT - 1, TITLE_LIMIT + 1
RAISED = setting("title", {"type": "string", "minLength": 1, "maxLength": LONGER})
LOWERED = setting("title", {"type": "string", "minLength": 1, "maxLength": SHORTER})
NOTE = setting("note", {"type": "string"})


@pytest.fixture
def api() -> Iterator[Api]:
    """Return a running API whose OpenAPI document the test can replace."""
    with serving() as running:
        yield running


@pytest.fixture
def own(workplace: Path, built: Path, request: pytest.FixtureRequest, api: Api) -> Home:
    """Return a home with the golden sample built, aimed at that API."""
    variables = {"QGP_STAGING_API_URL": api.url, "QGP_API_TOKEN": "a-token-of-no-kind"}
    return new_home(workplace / f"memory_{request.node.name}"[:60], built, **variables)


def contracts(home: Home) -> list[int]:
    """Return the limit of the title in each contract that was kept."""
    kept = home.query("select contract from audit.fct_contracts order by rowid")
    return [json.loads(text)["properties"]["title"]["max_length"] for (text,) in kept]


def last(home: Home) -> Any:
    """Return the JSON document of the probe that checked last."""
    ((run_id,),) = home.query("select max_by(run_id, checked_at) from audit.fct_probe_checks")
    return next(found for found in home.documents("contract_probe") if found["run_id"] == run_id)


def posts(api: Api) -> int:
    return sum(method == "POST" for method, *_ in api.seen)


def test_a_contract_is_kept_when_it_is_verified_and_another(own: Home, api: Api):
    assert own.probe("staging").returncode == 0
    assert last(own)["contract"]["last_verified"] is None
    first = last(own)["contract"]["fingerprint"]
    again = own.probe("staging")
    assert json.loads(again.stdout).keys() == {"outcome", "all_passed", "summary"}
    assert "nothing has changed since the contract verified at" in again.stderr
    assert last(own)["contract"]["last_verified"]["fingerprint"] == first
    assert contracts(own) == [TITLE_LIMIT]
    api.answers["/openapi.json"] = changed(LOWERED)
    refused = own.probe("staging")
    assert refused.returncode == 3
    assert "by run " in refused.stderr
    assert f": title: max length was {TITLE_LIMIT}, is {SHORTER}\n" in refused.stderr
    assert last(own)["contract"]["changes"] == [f"title: max length was {TITLE_LIMIT}, is {SHORTER}"]
    assert contracts(own) == [TITLE_LIMIT], "what is not verified is not kept"
    api.answers["/openapi.json"] = changed(RAISED)
    accepted = own.probe("staging")
    assert accepted.returncode == 0
    assert json.loads(accepted.stdout)["changes"] == [f"title: max length was {TITLE_LIMIT}, is {LONGER}"]
    assert json.loads(accepted.stdout)["changed_since"] in accepted.stderr
    assert contracts(own) == [TITLE_LIMIT, LONGER]
    kept = own.query("select run_id, fingerprint, verified_at::date = current_date from audit.fct_contracts")
    assert kept[1] == (last(own)["run_id"], last(own)["contract"]["fingerprint"], True)


def test_it_was_verified_last_when_a_probe_passed_last(own: Home):
    own.probe("staging")
    own.query("update audit.fct_contracts set verified_at = '2026-01-01'")
    own.query("update audit.fct_probe_checks set checked_at = '2026-02-03 04:05:06'")
    assert "verified at 2026-02-03T04:05:06Z" in own.probe("staging").stderr


def test_an_import_is_bound_to_the_contract_that_was_verified(own: Home, api: Api):
    first = own.loader("--import")
    assert (first.returncode, posts(api)) == (0, 5), first.stderr
    assert contracts(own) == [TITLE_LIMIT], "the first contract of an address is kept by the import itself"
    api.answers["/openapi.json"] = changed(RAISED)
    for _ in range(2):
        refused = own.loader("--import")
        assert (refused.returncode, refused.stderr.count("\n"), posts(api)) == (3, 1, 5)
        assert "probe failed, nothing was posted: create_contract: expected the contract that was verified at" in (
            refused.stderr
        )
        changed_limit = f"title: max length was {TITLE_LIMIT}, is {LONGER}"
        assert f"{changed_limit}; look at the change, then: python -m probe staging" in refused.stderr
        assert last(own)["outcome"] == "FAILED"
        assert last(own)["findings"][0]["kind"] == "contract_moved"
        assert contracts(own) == [TITLE_LIMIT], "an import keeps no contract that has moved"
    assert own.probe("staging").returncode == 0
    assert contracts(own) == [TITLE_LIMIT, LONGER]
    assert own.loader("--import").returncode == 0
    assert posts(api) == 10
    outcomes = own.query("select outcome, count(*) from audit.fct_probe_checks group by outcome order by outcome")
    assert outcomes == [("FAILED", 8), ("VERIFIED", 12)]


def test_the_probe_of_an_import_whose_build_fails_is_kept(own: Home, api: Api):
    (own.folder / "file").touch()
    done = own.loader("--import", "--source", GOLDEN, DBT_TARGET_PATH=str(own.folder / "file"))
    assert (done.returncode, done.stderr.count("\n"), posts(api)) == (1, 1, 0), done.stderr
    (run_id,) = own.query("select distinct run_id from audit.fct_run_events where action = 'run_refused'")[0]
    kept = own.query("select run_id, count(*) from audit.fct_probe_checks where outcome = 'VERIFIED' group by run_id")
    assert kept == [(run_id, 4)]
    assert contracts(own) == [TITLE_LIMIT]


def test_what_does_not_concern_us_may_change(own: Home, api: Api):
    assert own.loader("--import").returncode == 0
    api.answers["/openapi.json"] = changed(NOTE, lambda of: of["paths"].update({"/other": {}}))
    assert own.loader("--import").returncode == 0
    assert last(own)["contract"]["changes"] == []
    assert "the API also takes note" in {finding["message"].partition(",")[0] for finding in last(own)["findings"]}
    assert contracts(own) == [TITLE_LIMIT]


def test_another_address_has_its_own_contract(own: Home, api: Api):
    own.probe("staging")
    own.query("update audit.fct_contracts set address = 'https://elsewhere'")
    api.answers["/openapi.json"] = changed(RAISED)
    assert own.loader("--import").returncode == 0
    assert contracts(own) == [TITLE_LIMIT, LONGER]


@pytest.mark.parametrize("table", ["fct_contracts", "fct_probe_findings"])
def test_a_database_of_an_earlier_version_is_named(own: Home, api: Api, table: str):
    own.query(f"drop table audit.{table}")
    probed = own.probe("staging")
    assert probed.returncode == 0
    assert "in the JSON file alone, not in audit" in probed.stderr
    imported = own.loader("--import")
    assert (imported.returncode, imported.stderr.count("\n"), posts(api)) == (2, 1, 0)
    assert "a table is missing; run: dbt build" in imported.stderr


def test_the_file_of_a_probe_is_not_worth_an_import(own: Home, api: Api):
    own.output.write_text("a file where the folder should be", encoding="utf-8")
    done = own.loader("--import")
    assert (posts(api), done.returncode, done.stderr.count("\n")) == (5, 4, 1)
    assert own.query("select count(*) from audit.fct_probe_checks") == [(4,)]
