"""Drift in rows: how many records of a build of 1,000 a difference hits, which, and that nothing of it is posted."""

import html
import json
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from loader.card import Field
from loader.storage.warehouse import Warehouse
from probe.checks import compared
from probe.drift import Build, counted, last_build
from probe.finding import Finding, Kind, Severity
from tests.faults.test_locks import holding
from tests.probe.documents import (
    TEXT,
    Change,
    body,
    changed,
    close,
    move_path,
    properties,
    schemas,
    setting,
)
from tests.probe.hosting import serving
from tests.support import CARD, Home, new_home
from tests.warm import running_sandbox

RECORDS = 1000
NULL = {"type": "null"}


def record(n: int) -> str:
    """Return a record: each fourth is about quality, each fifth without a place, two of ten have a long title."""
    title = {0: "&" * 40, 1: "x" * 190}.get(n % 10, "Title")
    place = "" if n % 5 == 0 else "Site"
    date = "2026-01-15T09:30:00Z" if n % 8 == 0 else "2026-01-15"
    return f"Q-{n:04},{title},Text,{'quality' if n % 4 == 0 else 'other'},high,open,{date},{place}"


@pytest.fixture(scope="module")
def thousand(workplace: Path) -> Home:
    """Return a home in which `dbt build` has built 1,000 records."""
    home = new_home(workplace / "thousand")
    source = home.csv("thousand.csv", *(record(n) for n in range(RECORDS)))
    done = home.dbt("build", "--exclude-resource-type", "unit_test", ETL_SOURCE=str(source))
    assert done.returncode == 0, done.stdout
    return home


@pytest.fixture
def own(thousand: Home, workplace: Path, request: pytest.FixtureRequest) -> Home:
    """Return a home of the test's own with the 1,000 records built."""
    return new_home(workplace / f"records_{request.node.name}"[:60], thousand.database)


def hits(home: Home, *changes: Change) -> list[Finding]:
    warehouse = Warehouse(home.database, 1, print)
    return counted(warehouse, CARD, last_build(warehouse, CARD), compared(changed(*changes), CARD)[1])


@pytest.mark.parametrize(
    ("change", "records", "examples"),
    [
        (lambda of: schemas(of)["IncidentType"]["enum"].remove("quality"), 250, ("Q-0000", "Q-0004", "Q-0008")),
        (lambda of: schemas(of)["IncidentSeverity"]["enum"].remove("low"), 0, ()),
        (lambda of: properties(of).pop("location"), 800, ("Q-0001", "Q-0002", "Q-0003")),
        (lambda of: body(of)["required"].append("location"), 200, ("Q-0000", "Q-0005", "Q-0010")),
        (lambda of: body(of)["required"].append("site"), RECORDS, ("Q-0000", "Q-0001", "Q-0002")),
        # 40 & count 200 when they are escaped, 190 x count 190.
        (setting("title", {"type": "string", "maxLength": 195}), 100, ("Q-0000", "Q-0010", "Q-0020")),
        (setting("title", {"type": "string", "maxLength": 189}), 200, ("Q-0000", "Q-0001", "Q-0010")),
        (
            setting("title", TEXT | {"minLength": 6}),
            800,
            ("Q-0002", "Q-0003", "Q-0004"),
        ),
        (setting("title", {"type": "string", "minLength": 10**40}), RECORDS, ("Q-0000", "Q-0001", "Q-0002")),
        (setting("location", {"anyOf": [{"type": "object"}, NULL]}), 800, ("Q-0001", "Q-0002", "Q-0003")),
        (setting("incident_date", {"type": "string", "format": "date"}), 125, ("Q-0000", "Q-0008", "Q-0016")),
    ],
)
def test_a_breaking_difference_is_counted_in_records(
    thousand: Home, change: Change, records: int, examples: tuple[str, ...]
):
    found = [finding for finding in hits(thousand, change) if finding.is_breaking]
    assert [(finding.hit.records, finding.hit.total, finding.hit.examples) for finding in found if finding.hit] == [
        (records, RECORDS, examples)
    ]


@pytest.mark.parametrize("text", ["a\r\nb", "a\nb\r", "&<>\u00a0", "&amp; \r\n\r\n", "\U0001f600e\u0301"])
@pytest.mark.parametrize("field", [field for field in CARD.fields if field.max_length], ids=lambda field: field.name)
def test_a_text_is_counted_as_validation_counts_it(tmp_path: Path, text: str, field: Field):
    """As long as the platform counts it: escaped, with LF for CRLF, where the card says so."""
    database = tmp_path / "etl.duckdb"
    with duckdb.connect(database) as session:
        session.execute("create schema staging; create table staging.stg_incident "
                        "as select 1 as record_number, null as parse_error, 'Q-1' as reference_number")  # fmt: skip
        if not field.is_key:
            session.execute(f"alter table staging.stg_incident add column {field.name} varchar")
        session.execute(f"update staging.stg_incident set {field.name} = ?", [text])  # noqa: S608
    counts = len(html.escape(text.replace("\r\n", "\n"), quote=False).replace("\xa0", "&nbsp;"))
    most = counts if field.counts == "escaped" else len(text)
    over = [Finding(Kind.LIMIT_LOWERED, Severity.BREAKING, "", field.name, limit) for limit in (most - 1, most)]
    found = counted(Warehouse(database, 1, print), CARD, Build("", 1, 1), over)
    assert [finding.hit and finding.hit.records for finding in found] == [1, 0]


def test_what_cannot_be_told_is_not_counted(thousand: Home):
    (pattern,) = (
        finding for finding in hits(thousand, setting("title", TEXT | {"pattern": "^T"})) if finding.is_breaking
    )
    assert pattern.hit is None
    assert [finding.hit for finding in hits(thousand, move_path)] == [None], "nothing was compared"
    assert [finding.hit for finding in hits(thousand, close) if not finding.is_breaking] == [None] * 3


def posted(requests: list[dict[str, object]]) -> list[object]:
    return [request for request in requests if request["method"] != "GET"]


def test_a_withdrawn_value_is_named_with_its_records_and_nothing_is_posted(own: Home, tmp_path: Path):
    said = (
        "their enum of incident_type lost 'quality', which enum_map.csv maps to: 250 of 1,000 records would be refused"
    )
    options = ("--environment", "staging", "--withdraw", "incident_type=quality")
    with running_sandbox(tmp_path / "withdrawn.sqlite", *options) as sandbox:
        own.environment |= {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token()}
        done = own.probe("staging")
        assert (done.returncode, json.loads(done.stdout)["outcome"]) == (3, "FAILED")
        assert f"FAILED create_contract: {said} (Q-0000, Q-0004, Q-0008)" in done.stderr
        assert "records are counted in thousand.csv, as the last dbt build staged it" in done.stderr
        imported = own.loader("--import")
        assert (imported.returncode, imported.stderr.count("\n")) == (3, 1)
        assert imported.stderr.startswith("error: probe failed, nothing was posted: create_contract")
        assert f"{said} (Q-0000, Q-0004, Q-0008) (counted in thousand.csv, the last dbt build)" in imported.stderr
        assert posted(sandbox.requests()) == []
        assert sandbox.records() == []
    by_hand, by_import = own.documents("contract_probe")
    for document in (by_hand, by_import):
        (finding,) = (entry for entry in document["findings"] if entry["severity"] == "breaking")
        assert finding == {
            "check": "create_contract", "severity": "breaking", "kind": "enum_value_lost", "field": "incident_type",
            "message": said.partition(":")[0], "records_hit": 250, "examples": ["Q-0000", "Q-0004", "Q-0008"],
        }  # fmt: skip
    kept = own.query(
        "select run_id, outcome, kind, records_hit, records_total from audit.fct_probe_findings "
        "inner join audit.fct_probe_checks using (run_id, check_name) where severity = 'breaking' order by run_id"
    )
    assert kept == [
        (document["run_id"], "FAILED", "enum_value_lost", 250, RECORDS) for document in (by_hand, by_import)
    ]
    (refused,) = own.query("select run_id from audit.fct_run_events where action = 'run_refused'")
    assert refused[0] in (by_hand["run_id"], by_import["run_id"])
    assert own.query("select count(*) from audit.fct_contracts") == [(0,)]


def test_without_a_build_it_says_so(empty_home: Home, tmp_path: Path):
    options = ("--environment", "staging", "--withdraw", "incident_type=quality")
    with running_sandbox(tmp_path / "withdrawn.sqlite", *options) as sandbox:
        done = empty_home.probe("staging", QGP_STAGING_API_URL=sandbox.url, QGP_API_TOKEN=sandbox.token())
    assert done.returncode == 3
    assert "there is no build to count the records in; run: dbt build" in done.stderr
    (document,) = empty_home.documents("contract_probe")
    assert {finding["records_hit"] for finding in document["findings"]} == {None}
    assert document["counted_in"] is None


def test_a_database_that_is_held_is_no_database_without_a_build(own: Home):
    with serving() as api, holding("database", own, 60) as pid:
        api.answers["/openapi.json"] = changed(lambda of: schemas(of)["IncidentType"]["enum"].remove("quality"))
        own.settings(lock_wait_seconds="3")
        began = time.monotonic()
        done = own.probe("staging", QGP_STAGING_API_URL=api.url, QGP_API_TOKEN="t")  # noqa: S106
        assert time.monotonic() - began < 20
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (3, "FAILED")
    assert "there is no build" not in done.stderr
    assert f"records are not counted: {own.database}: held by process {pid} for over 2 s" in done.stderr


def test_a_database_that_is_held_while_it_is_counted(own: Home):
    warehouse = Warehouse(own.database, 0, print)
    build = last_build(warehouse, CARD)
    found = compared(changed(lambda of: properties(of).pop("location")), CARD)[1]
    with holding("database", own, 60):
        assert counted(warehouse, CARD, build, found) == found


def test_the_line_of_a_failed_check_asks_the_same(own: Home, tmp_path: Path):
    with running_sandbox(tmp_path / "token.sqlite", "--environment", "staging") as sandbox:
        own.environment |= {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token("incident:create")}
        own.probe("staging")
        (check,) = (
            entry for entry in own.documents("contract_probe")[0]["checks"] if entry["name"] == "authentication"
        )
        line = check["curl"].replace(
            "curl ", f"{sys.executable} -c 'import sys; print(*sys.argv[1:], sys.stdin.read())' "
        )
        done = subprocess.run(["bash", "-c", line], env=own.variables(), capture_output=True, text=True, check=True)
    assert "QGP_API_TOKEN" not in done.stdout
    assert f"Authorization: Bearer {own.environment['QGP_API_TOKEN']}" in done.stdout
    assert f"{sandbox.url}/api/v1/incidents/?page=1&page_size=1" in done.stdout
    assert "a permission is missing" in check["found"]
    assert "incident:read" in check["how_to_fix"]
