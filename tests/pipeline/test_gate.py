"""The gate: nothing is posted that one `dbt build` has not built, tested and left unchanged."""

from dataclasses import replace

import pytest

from loader.errors import EtlError, GateClosed, RecordsRefused
from loader.run.gate import GateFacts, NodeResult, check_gate
from sandbox.process import Sandbox
from tests.support import Home

MODEL = NodeResult("fct_incident_payload", "model", "success")
TEST = NodeResult("unique_reference", "test", "pass")
OPEN = GateFacts(
    is_built=True,
    digest="d",
    invocation_ids=("one", "one"),
    built_by="one",
    last_attempt_by="one",
    tested_digest="d",
    results=(MODEL, TEST),
    refused_records=0,
    is_written=True,
)


def with_test(status: str) -> tuple[NodeResult, ...]:
    return (MODEL, TEST, NodeResult("broken", "test", status))


OPENED = {
    "all is well": OPEN,
    "a warning": replace(OPEN, results=with_test("warn")),
    "refused records that no test minds": replace(OPEN, refused_records=2),
}
CLOSED: dict[str, tuple[GateFacts, type[EtlError], str]] = {
    "no payload": (replace(OPEN, is_built=False), GateClosed, "no payload"),
    "a payload of another invocation": (replace(OPEN, built_by="zero"), GateClosed, "did not build"),
    "a payload of no invocation": (replace(OPEN, built_by=None), GateClosed, "did not build"),
    "no results": (replace(OPEN, last_attempt_by=None, results=()), GateClosed, "did not build"),
    "one row of another invocation": (replace(OPEN, invocation_ids=("one", "two")), GateClosed, "did not build"),
    "a later attempt": (replace(OPEN, last_attempt_by="two"), GateClosed, "did not build"),
    "a test that failed": (replace(OPEN, results=with_test("fail")), GateClosed, "broken failed"),
    "a test in error": (replace(OPEN, results=with_test("error")), GateClosed, "broken failed"),
    "a test not run": (replace(OPEN, results=with_test("not_run")), GateClosed, "broken did not run"),
    "a test skipped": (replace(OPEN, results=with_test("skipped")), GateClosed, "broken did not run"),
    "no tests": (replace(OPEN, results=(MODEL,)), GateClosed, "without its tests"),
    "a model skipped": (
        replace(OPEN, results=(TEST, NodeResult("stg", "model", "skipped"))),
        GateClosed,
        "stg did not run",
    ),
    "changed since": (replace(OPEN, digest="e"), GateClosed, "changed since"),
    "another card than was built by": (replace(OPEN, card_changed=True), GateClosed, "the card or enum_map.csv"),
    "never digested": (replace(OPEN, tested_digest=None), GateClosed, "changed since"),
    "digested neither time": (replace(OPEN, digest=None, tested_digest=None), GateClosed, "changed since"),
    "only validated": (replace(OPEN, is_written=False), GateClosed, "only validated"),
    "invalid records": (replace(OPEN, results=with_test("fail"), refused_records=2), RecordsRefused, "2 records"),
    "invalid records, not built": (
        replace(OPEN, results=with_test("fail"), refused_records=2, built_by="zero"),
        RecordsRefused,
        "2 records",
    ),
}


@pytest.mark.parametrize("name", OPENED)
def test_the_gate_opens(name: str):
    check_gate(OPENED[name], sends=True)


@pytest.mark.parametrize("name", CLOSED)
def test_the_gate_stays_closed(name: str):
    facts, error, words = CLOSED[name]
    with pytest.raises(error) as raised:
        check_gate(facts, sends=True)
    assert type(raised.value) is error
    assert words in str(raised.value)
    assert raised.value.exit_code == (1 if error is RecordsRefused else 2)
    if error is GateClosed:
        assert str(raised.value).endswith("run: dbt build")


def test_many_failures_are_named_in_part():
    results = (MODEL, *(NodeResult(f"t{number}", "test", "fail") for number in range(6)))
    with pytest.raises(GateClosed, match="t0, t1, t2 and 3 more failed"):
        check_gate(replace(OPEN, results=results), sends=True)


def refused(home: Home, sandbox: Sandbox, exit_code: int = 2) -> str:
    """Import; return the one line of the refusal, after which nothing has been posted."""
    done = home.loader("--import")
    assert done.returncode == exit_code, done.stderr
    assert [request for request in sandbox.requests() if request["method"] == "POST"] == []
    assert sandbox.records() == []
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


def test_without_a_database_the_build_is_named(home: Home, sandbox: Sandbox):
    home.database.unlink()
    assert "dbt build" in refused(home, sandbox)
    assert not home.database.exists()


CHANGES = {
    "a changed cell": "update payload.fct_incident_payload set title = 'x' where record_number = 1",
    "a deleted row": "delete from payload.fct_incident_payload where record_number = 5",
    "a copied row": "insert into payload.fct_incident_payload select * from payload.fct_incident_payload limit 1",
    "two swapped cells": (
        "update payload.fct_incident_payload set title = description, description = title where record_number = 1"
    ),
    "no row left": "delete from payload.fct_incident_payload",
    "no table left": "drop table payload.fct_incident_payload",
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_payload_changed_after_its_tests_is_not_posted(home: Home, sandbox: Sandbox, name: str):
    home.query(CHANGES[name])
    assert "dbt build" in refused(home, sandbox)


CARDS = {
    "a mapping to another value": (
        "update contract.dim_payload_fields set enum_values = ['withdrawn'] where field = 'incident_type'"
    ),
    "another limit": "update contract.dim_payload_fields set max_length = 400 where field = 'title'",
    "another name": "update contract.dim_payload_fields set field = 'place' where field = 'location'",
}


@pytest.mark.parametrize("name", CARDS)
def test_a_payload_of_an_earlier_card_is_not_posted(home: Home, sandbox: Sandbox, name: str):
    home.query(CARDS[name])
    assert "the card or enum_map.csv has changed since the build" in refused(home, sandbox)


def test_dbt_run_alone_does_not_open_the_gate(home: Home, sandbox: Sandbox):
    done = home.dbt("run", "--select", "+fct_incident_payload")
    assert done.returncode == 0, done.stdout
    line = refused(home, sandbox)
    assert "without its tests" in line
    assert line.endswith("run: dbt build")


def test_the_payload_with_what_it_needs_is_enough(home: Home, sandbox: Sandbox):
    home.database.unlink()
    done = home.dbt("build", "--select", "+fct_incident_payload")
    assert done.returncode == 0, done.stdout
    imported = home.loader("--import")
    assert imported.returncode == 0, imported.stderr
    assert len(sandbox.records()) == 5


def test_a_validation_is_a_gate_without_anything_to_post(home: Home, sandbox: Sandbox):
    source = home.csv("one.csv", "EXT-1,A good one,Something happened there.,safety,high,open,2026-01-05,Bay 1")
    done = home.loader("--validate-only", "--source", str(source))
    assert done.returncode == 0, done.stderr
    kind = "select table_type from information_schema.tables where table_name = 'fct_incident_payload'"
    assert home.query(kind) == [("VIEW",)]
    assert "only validated the file; add --source FILE" in refused(home, sandbox)
    said = home.loader("--import").stdout
    assert (
        "next: gate closed: the last build only validated the file; add --source FILE, or run: dbt build; then:\n"
        in said
    )
    assert f"\n  python scripts/etl/pipeline.py --environment staging --import --source {source}" in said
    assert home.loader("--dry-run").returncode == 0
    home.query("update staging.stg_incident set title = 'another'")
    assert "has changed since its tests ran" in refused(home, sandbox)


def test_a_file_with_invalid_records_is_not_posted(home: Home, sandbox: Sandbox):
    source = home.csv(
        "invalid.csv",
        "EXT-1,A good one,Something happened there.,safety,high,open,2026-01-05,Bay 1",
        "EXT-2,,Something happened there.,no such type,high,open,2026-13-45,Bay 1",
    )
    done = home.dbt("build", ETL_SOURCE=str(source))
    assert done.returncode == 1, done.stdout
    kept = "select payload_records, digest from audit.fct_dbt_payloads "
    kept += "inner join audit.fct_dbt_invocations using (invocation_id) "
    kept += "where entity_type = 'incident' order by finished_at desc limit 1"
    assert home.query(kept) == [(1, None)]
    assert "invalid" in refused(home, sandbox, exit_code=1)
    assert home.query("select closes, exit_code from audit.fct_runs") == [(True, 1)]
    assert home.query("select distinct result, attempts from audit.fct_import_records") == [("not_attempted", 0)]
