"""What still waits for somebody: a problem is open until a later run has solved it, and never before."""

from datetime import timedelta
from pathlib import Path
from threading import Timer

import pytest

from loader.reports.advice import about_readback, about_result
from tests.audit.invented import NOON, Trail


@pytest.fixture
def trail(tmp_path: Path, built: Path) -> Trail:
    database = tmp_path / "etl.duckdb"
    database.write_bytes(built.read_bytes())
    return Trail(database)


@pytest.mark.parametrize("fate", ["invalid", "parse_error", "failed", "unknown", "not_attempted"])
@pytest.mark.parametrize("solved", ["created", "exists"])
def test_a_problem_is_open_until_the_reference_arrives_whatever_file_it_stands_in(trail: Trail, fate: str, solved: str):
    trail.run("a.csv", A=fate, B="created")
    trail.run("a.csv", A=fate, B="exists")
    assert trail.open() == {("A", "invalid" if fate == "parse_error" else fate, 2)}
    trail.run("corrected.csv", A=solved)
    assert trail.open() == set()


@pytest.mark.parametrize("verdict", ["differs", "not_visible"])
def test_what_reading_back_has_found_is_open_until_it_is_read_back_identical(trail: Trail, verdict: str):
    trail.run("a.csv", A=f"created/{verdict}", B="created/identical")
    trail.run("a.csv", A="exists", B="exists")
    trail.run("a.csv", B="exists")
    assert trail.open() == {("A", verdict, 1)}
    trail.run("a.csv", A=f"exists/{verdict}")
    severity = trail.connection.execute("select severity, runs, last_run_id from audit.rpt_open_problems").fetchall()
    assert severity == [("warning", 2, "run-04")]
    trail.run("a.csv", A="exists/identical")
    assert trail.open() == set()


@pytest.mark.parametrize("fate", ["excepted", "duplicate", "valid"])
def test_an_invalid_record_is_settled_by_a_later_verdict(trail: Trail, fate: str):
    trail.run("a.csv", "validate-only", A="invalid")
    trail.run("a.csv", "validate-only", A=fate)
    assert trail.open() == set()


@pytest.mark.parametrize(
    ("fate", "stays"), [("invalid", False), ("failed", False), ("not_attempted", False), ("unknown", True)]
)
def test_a_record_left_out_of_the_corrected_file_is_gone_unless_it_may_be_stored(trail: Trail, fate: str, stays: bool):
    trail.run("a.csv", A=fate, B="created")
    trail.run("a.csv", B="exists")
    assert trail.open() == ({("A", fate, 1)} if stays else set())


@pytest.mark.parametrize("fate", ["invalid", "failed", "not_attempted"])
def test_the_next_export_of_the_same_name_hides_nothing(trail: Trail, fate: str):
    trail.run("daily.csv", A=fate, B="created")
    trail.run("daily.csv", C="created", D="created")
    trail.run("daily.csv", C="exists", D="exists")
    assert trail.open() == {("A", fate, 1)}


def test_a_record_without_a_reference_is_known_by_its_cells_and_gone_with_them(trail: Trail):
    trail.run("a.csv", "validate-only", _1="invalid", B="valid")
    trail.run("a.csv", "validate-only", _1="invalid", B="valid")
    assert trail.open() == {("line 2", "invalid", 2)}
    trail.run("a.csv", "validate-only", B="valid")
    assert trail.open() == set()


@pytest.mark.parametrize("fate", ["invalid", "parse_error"])
def test_a_rejected_file_given_back_settles_what_it_was_written_for(trail: Trail, fate: str):
    """Its records have other cells, and other references where those were wrong: only its name says whose they are."""
    wrong = trail.run("daily.csv", "validate-only", _1=fate, TOO_LONG="invalid", B="valid")
    other = trail.run("daily.csv", "validate-only", _2=fate)
    rejected, of_other = f"rejected_incident_{wrong}.csv", f"rejected_incident_{other}.csv"
    trail.run(rejected, "validate-only", _3="invalid", C="valid")
    assert trail.open() == {("line 2", "invalid", 1)}
    query = "select source_name from audit.rpt_open_problems order by all"
    assert trail.connection.execute(query).fetchall() == [("daily.csv",), (rejected,)]
    trail.run(rejected, C="created", D="created")
    assert trail.connection.execute(query).fetchall() == [("daily.csv",)]
    trail.run(of_other, E="created")
    trail.run(f"accepted_incident_{wrong}.csv", B="created")
    assert trail.open() == set()


@pytest.mark.parametrize("fate", ["failed", "unknown", "not_attempted"])
def test_a_rejected_file_given_back_settles_nothing_that_was_to_be_sent(trail: Trail, fate: str):
    run = trail.run("daily.csv", A=fate, _1="invalid")
    trail.run(f"rejected_incident_{run}.csv", C="created")
    assert trail.open() == {("A", fate, 1)}


def test_a_reference_that_each_record_repeats_costs_no_pairs(trail: Trail):
    for _ in range(2):
        trail.run("daily.csv", A="invalid", B="failed")
    repeat = "insert into audit.fct_records select records.* from audit.fct_records as records, range(100000)"
    trail.connection.execute(repeat)
    in_time = Timer(20, trail.connection.interrupt)
    in_time.start()
    try:
        assert trail.connection.execute("select count(*) from audit.int_followed_runs").fetchall() == [(2,)]
    finally:
        in_time.cancel()


def test_each_environment_has_its_own(trail: Trail):
    trail.run("a.csv", A="failed", B="created")
    trail.run("a.csv", environment="development", A="created", B="created")
    trail.run("a.csv", environment="development", B="exists")
    assert trail.open() == {("A", "failed", 1)}


def test_a_run_that_did_not_get_to_a_record_says_nothing_of_it(trail: Trail):
    trail.run("a.csv", A="failed", B="created", C="unknown", D="not_attempted")
    trail.run("a.csv", A="not_attempted", B="not_attempted", C="not_attempted", D="not_attempted")
    assert trail.open() == {("A", "failed", 1), ("C", "unknown", 1), ("D", "not_attempted", 2)}


def test_age_and_runs_are_counted_from_the_last_time_that_it_was_right(trail: Trail):
    for fate in ("failed", "exists", "failed", "failed"):
        last = trail.run("a.csv", A=fate)
    query = "select since, runs, last_run_id, age_days > 100, environment, source_name, what_to_do <> '' from {}"
    found = trail.connection.execute(query.format("audit.rpt_open_problems")).fetchall()
    assert found == [(NOON + timedelta(days=3), 2, last, True, "staging", "a.csv", True)]


@pytest.mark.parametrize(
    "stopped", [None, "403, a permission is missing: ask the platform team for it", "the API is down"]
)
@pytest.mark.parametrize(
    "fate", ["failed", "unknown", "not_attempted", "created/differs", "exists/differs", "exists/not_visible"]
)
def test_what_to_do_is_said_in_the_words_of_the_commands(trail: Trail, fate: str, stopped: str | None):
    trail.run("a.csv", A=fate)
    trail.connection.execute("update audit.fct_runs set stopped_because = ?", [stopped])
    trail.connection.execute("update audit.fct_readback set differing_fields = 'f1, f2'")
    result, _, verdict = fate.partition("/")
    says = about_result(result, stopped)
    if verdict:
        says = about_readback(verdict, "f1, f2", is_ours=result == "created")
    assert trail.connection.execute("select what_to_do from audit.rpt_open_problems").fetchall() == [(says,)]


def test_what_an_unfinished_run_left_is_open_and_its_ledger_does_not_close(trail: Trail):
    trail.run("a.csv", A="created", B="sent", C="nothing", D="failed", unfinished=True)
    assert trail.open() == {("B", "unknown", 1), ("C", "not_attempted", 1), ("D", "failed", 1)}
    query = "select state, created_records, unknown_records, not_attempted_records, closes from audit.rpt_run_ledger"
    assert trail.connection.execute(query).fetchall() == [("unfinished", 1, 1, 1, False)]


def test_a_dead_run_that_a_later_one_closes_stands_where_it_began(trail: Trail):
    dead = trail.run("a.csv", "validate-only", A="invalid")
    later = trail.run("a.csv", "validate-only", A="valid")
    trail.connection.execute("delete from audit.fct_runs where run_id = ?", [dead])
    for run in (dead, later):
        trail.insert("fct_run_events", {"run_id": run, "event_time": NOON, "action": "run_started"})
    trail.insert("fct_runs", {"run_id": dead, "entity_type": "incident", "source_file": "/a.csv", "mode": "import"})
    assert trail.open() == set()


def test_the_order_is_that_of_writing_and_not_of_the_clock(trail: Trail):
    trail.run("a.csv", A="failed")
    trail.runs = -5
    trail.run("a.csv", A="created")
    assert trail.open() == set()
