"""The report models after three real runs: they say what the server's log says, and what the runbook shows of them."""

import json
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sandbox.process import Sandbox
from tests.audit.invented import Trail
from tests.audit.past import FIRST_RUN, LOST, REFUSED, RETRIED, live
from tests.support import ROOT, Home, new_home
from tests.warm import running_sandbox

SECTION = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8").split("### Ready queries")[1].split("\n##")[0]
QUERIES = re.findall(r"\*\*(.+?)\*\*[^\n]*\n\n```sql\n(.+?)```\n\n```text\n(.+?)```", SECTION, re.DOTALL)
# What is another each time: run ids, times, checksums, milliseconds, who runs it.
MASKS = {
    r"\d{8}T\d{6}Z-[0-9a-f]{6}": "<run>",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:[\d.]+": "<time>",
    r"[0-9a-f]{12}": "<checksum>",
    r"\d+\.\d+": "<number>",
    r"\S+@\S+": "<operator>",
}


@pytest.fixture(scope="module")
def past(
    workplace: Path, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Sandbox]]:
    """Return the database after the three runs, and the sandbox that they posted to."""
    stored = tmp_path_factory.mktemp("past") / "sandbox.sqlite"
    with running_sandbox(stored, "--environment", "staging") as sandbox:
        home = new_home(workplace / "past", built, QGP_STAGING_API_URL=sandbox.url, QGP_API_TOKEN=sandbox.token())
        live(home, sandbox, stored)
        with duckdb.connect(str(home.database)) as connection:
            yield connection, sandbox


def cells(printed: str) -> list[list[str]]:
    """Return the rows of a printed table without what differs each time; run ids are numbered as they come."""
    rows, runs = [], []
    for line in printed.splitlines():
        if not line.startswith("│"):
            continue
        row = [cell.strip() for cell in line.strip("│").split("│")]
        for at, cell in enumerate(row):
            for pattern, mask in MASKS.items():
                if re.fullmatch(pattern, cell):
                    if mask == "<run>" and cell not in runs:
                        runs.append(cell)
                    row[at] = f"<run {runs.index(cell)}>" if mask == "<run>" else mask
        rows.append(row)
    return rows


@pytest.mark.parametrize(("question", "sql", "page"), QUERIES, ids=[question for question, *_ in QUERIES])
def test_every_ready_query_prints_what_the_page_says(
    past: tuple[duckdb.DuckDBPyConnection, Sandbox],
    capsys: pytest.CaptureFixture[str],
    question: str,
    sql: str,
    page: str,
):
    past[0].sql(sql).show(max_width=120)
    assert cells(capsys.readouterr().out) == cells(page), question


def test_the_page_has_a_dozen_queries_each_with_what_it_prints():
    assert len(QUERIES) == SECTION.count("```sql") >= 12
    assert all("│" in page for *_, page in QUERIES)


def test_a_record_s_history_is_that_of_the_server(past: tuple[duckdb.DuckDBPyConnection, Sandbox]):
    connection, sandbox = past
    told: dict[str, list[int | None]] = defaultdict(list)
    query = (
        "select reference_number, answers from audit.rpt_record_history where answers is not null order by start_time"
    )
    for reference, answers in connection.execute(query).fetchall():
        told[reference] += [None if answer == "none" else int(answer) for answer in answers.split(", ")]
    logged: dict[str, list[int | None]] = defaultdict(list)
    for entry in sandbox.requests():
        if entry["method"] == "POST":
            logged[entry["reference_number"]].append(entry["status"])
    assert told[LOST] == [None, 409, 409]
    assert told[RETRIED] == [503, 201, 409]
    assert told[REFUSED] == [422, 422]
    # The server knows what it answered, even where the answer never arrived.
    logged[LOST][0] = None
    assert told == logged


def test_a_lost_answer_is_told_where_it_is_the_only_one(tmp_path: Path, built: Path):
    shutil.copy(built, tmp_path / "etl.duckdb")
    trail = Trail(tmp_path / "etl.duckdb")
    trail.run("a.csv", A="unknown", B="not_attempted")
    told = trail.connection.execute("select reference_number, answers from audit.rpt_record_history order by all")
    assert told.fetchall() == [("A", "none"), ("B", None)]


def test_every_request_is_in_its_minute(past: tuple[duckdb.DuckDBPyConnection, Sandbox]):
    connection, sandbox = past
    classes = ("answers_2xx", "answers_3xx_4xx", "answers_409", "answers_429", "answers_5xx", "without_answer")
    sums = ", ".join(f"sum({name})::int" for name in ("requests", *classes))
    ((requests, *answers),) = connection.execute(f"select {sums} from audit.rpt_delivery_times").fetchall()  # noqa: S608
    posts = Counter(entry["status"] for entry in sandbox.requests() if entry["method"] == "POST")
    assert requests == sum(answers) == posts.total()
    assert answers == [4, posts[422], posts[409], 0, posts[503], 1]


def test_every_run_closes_and_says_who_ran_it(past: tuple[duckdb.DuckDBPyConnection, Sandbox]):
    query = "select run_id = ?, state, operator like '_%@_%', closes from audit.rpt_run_ledger order by start_time"
    runs = past[0].execute(query, [FIRST_RUN]).fetchall()
    assert runs == [(True, "finished", True, True), *[(False, "finished", True, True)] * 2]
    ours = "select details::json ->> 'operator' from audit.fct_run_events where action = 'run_started' and run_id <> ?"
    assert {operator.count("@") for (operator,) in past[0].execute(ours, [FIRST_RUN]).fetchall()} == {1}


def test_words_that_differ_in_their_values_are_one_reason(past: tuple[duckdb.DuckDBPyConnection, Sandbox]):
    connection = past[0].cursor()
    connection.execute("begin")
    connection.execute("""
        insert into audit.fct_import_records by name
        select 'r' as run_id, 'incident' as entity_type, number as record_number, 'R-' || number as reference_number,
            'failed' as result, if(number % 3 = 2, 400, 422) as status_code, case number % 3
                when 0 then 'VALIDATION_ERROR: no body -> title: at most ' || number || ' body -> b.c: ' || number
                when 1 then 'VALIDATION_ERROR: no body -> title: "' || repeat('x', number % 7) || '" is not a title'
                else 'the value ''' || number || ''' is not one of ' || number end as error_message
        from range(999) as numbers(number)
    """)
    query = (
        "select status_code, error_code, field, words, records, example_reference from audit.rpt_failures_by_reason "
        "where run_id = 'r' order by status_code, field"
    )
    found = connection.execute(query).fetchall()
    connection.execute("rollback")
    assert found == [
        (400, None, None, "the value … is not one of …", 333, "R-2"),
        (422, "VALIDATION_ERROR", "b.c, title", None, 333, "R-0"),
        (422, "VALIDATION_ERROR", "title", None, 333, "R-1"),
    ]


@pytest.fixture
def manifest(built: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((Home(built.parent).target / "manifest.json").read_text(encoding="utf-8"))
    return loaded


def test_the_lineage_is_whole_from_the_csv_to_the_api_and_to_the_reports(manifest: dict[str, Any]):
    parents = manifest["parent_map"]

    def upstream(name: str) -> set[str]:
        found, left = set[str](), [name]
        while left:
            left += (new := set(parents.get(left.pop(), [])) - found)
            found |= new
        return found

    csv = "source.incident_etl.files.incident_csv"
    stages = [f"model.incident_etl.{name}" for name in ("raw_incident", "stg_incident", "fct_incident_payload")]
    assert {csv, *stages} <= upstream("exposure.incident_etl.incident_import")
    written = manifest["exposures"]["exposure.incident_etl.incident_import"]["meta"]["writes"]
    # Not below the file: what is wrong with one would skip the reports on all.
    assert not any(csv in upstream(f"model.incident_etl.{table}") for table in written)
    reports = {path.stem for path in (ROOT / "dbt_project" / "models" / "audit" / "reports").glob("rpt_*.sql")}
    asked = upstream("exposure.incident_etl.audit_trail")
    assert {name.split(".")[-1] for name in asked if name.split(".")[-1].startswith("rpt_")} == reports
    assert {f"model.incident_etl.{table}" for table in written} <= asked


def test_a_red_file_skips_no_report(empty_home: Home):
    source = empty_home.csv("red.csv", "R-1,A title,What happened,no such type,high,open,2026-01-05,Bay 1")
    done = empty_home.dbt("build", ETL_SOURCE=str(source), ETL_ENTITY="incident")
    assert done.returncode == 1, done.stdout
    assert "Got 1 result, configured to fail if > 0" in done.stdout
    skipped = re.findall(r"SKIP \w+(?: \w+)*? (?:\w+\.)?(\w+) \.", done.stdout)
    assert [name for name in skipped if name.startswith(("rpt_", "int_", "fct_"))] == []


def test_the_tests_of_the_reports_warn_and_are_not_the_gate_s(manifest: dict[str, Any], home: Home):
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    ours = [node for node in tests if any(".rpt_" in parent for parent in node["depends_on"]["nodes"])]
    assert len(ours) > 8
    assert {node["config"]["severity"].lower() for node in ours} == {"warn"}
    assert not {node["name"] for node in ours} & {
        name for (name,) in home.query("select name from audit.fct_dbt_results")
    }


def test_every_column_of_a_report_is_described_in_its_order(manifest: dict[str, Any], built: Path):
    with duckdb.connect(str(built), read_only=True) as connection:
        for path in sorted((ROOT / "dbt_project" / "models" / "audit" / "reports").glob("*.sql")):
            held = [name for name, *_ in connection.execute(f"describe audit.{path.stem}").fetchall()]
            described = manifest["nodes"][f"model.incident_etl.{path.stem}"]["columns"]
            assert held == list(described), path.stem
            assert all(column["description"] for column in described.values()), path.stem
