"""The dates of a whole file: what is said of them, and how --date-order and --assume-zone read them."""

from typing import Any

import pytest

from tests.support import FIELDS, Home

(DATE,) = [name for name, field in FIELDS.items() if field.format == "date"]
COLUMN = FIELDS[DATE].source_column
CELLS = {
    "04/03/2026": "2026-03-04",
    "25.3.26": "2026-03-25",
    "15-Jan-26": "2026-01-15",
    "31/12/99": "1999-12-31",
    "04/03/2026 00:00": "2026-03-04",
    "04/03/2026 2:30 PM": "2026-03-04T14:30:00+01:00",
    "2026-03-04 00:00:00": "2026-03-04",
    "2026-07-04 09:30": "2026-07-04T09:30:00+02:00",
    "2026-01-15T9:30:00Z": "2026-01-15T09:30:00Z",
    # The clocks of the zone leave out the one, and show the other twice.
    "2026-03-29T02:30:00": None,
    "2025-10-26T02:30:00": None,
    "2026/01/15": None,
    "26-31-01": None,
}

BUILD = ("build", "--select", "+int_incident_totals", "--exclude-resource-type", "unit_test")


def issues(home: Home) -> list[tuple[Any, ...]]:
    return home.query("select code, value from validation.int_incident_issues order by record_number")


def write(home: Home, cells: list[str]) -> Any:
    record = "{},Loose handrail,A handrail is loose,safety,low,open,{},Stair 3"
    return home.csv("dates.csv", *(record.format(f"R-{number}", cell) for number, cell in enumerate(cells)))


@pytest.mark.dbt
def test_the_flags_read_the_dates_of_a_file_and_say_so(empty_home: Home):
    source = write(empty_home, list(CELLS))
    asked = ("--date-order", "day", "--assume-zone", "europe/berlin")
    done = empty_home.loader("--dry-run", "--source", source, *asked)
    assert done.returncode == 1, done.stderr
    read = {before: after for before, after in CELLS.items() if after}
    kept = empty_home.query("select before, after, rule from audit.fct_changes where field = ?", DATE)
    assert {before: after for before, after, rule in kept if rule == "dated"} == read
    assert issues(empty_home) == [("invalid_date", before) for before, after in CELLS.items() if not after]
    said = " ".join(done.stdout.split())
    assert (
        f"dates are read by --date-order day and --assume-zone Europe/Berlin, each as a changed cell: {len(read)} cells"
        in said
    )
    assert f"{COLUMN}: 0 cells can only be month first, 2 only day first, 4 could be either; 4 times have no" in said
    assert "--date-order day --assume-zone Europe/Berlin --entity-type" in said, "the next command reads them too"
    (started,) = empty_home.query("select details from audit.fct_run_events where action = 'run_started'")
    assert '"ETL_DATE_ORDER": "day"' in started[0]
    (document,) = empty_home.documents("validation")
    (judged,) = document["dates"]["fields"]
    assert (document["dates"]["date_order"], judged["order_flag"], judged["read"]) == (
        "day",
        "--date-order day",
        len(read),
    )


@pytest.mark.dbt
def test_without_a_flag_they_stay_errors_and_the_flag_is_named(empty_home: Home):
    source = write(empty_home, ["3/25/2026", "04/03/2026", "2026-07-04 09:30", "25/3/2026"])
    done = empty_home.dbt(*BUILD, ETL_SOURCE=str(source))
    assert "Completed successfully" in done.stdout, done.stdout
    assert [code for code, _ in issues(empty_home)] == ["invalid_date"] * 4
    ((dates,),) = empty_home.query("select dates from validation.int_incident_totals")
    counts = {name: dates[0][name] for name in ("day_first_only", "month_first_only", "either_order", "without_zone")}
    assert list(counts.values()) == [1, 1, 1, 1]
    assert dates[0]["order_flag"] is None
    by_hand = {"ETL_SOURCE": str(source), "ETL_DATE_ORDER": "month", "ETL_ASSUME_ZONE": "-0530"}
    done = empty_home.dbt(*BUILD, **by_hand)
    assert "Completed successfully" in done.stdout, done.stdout
    assert issues(empty_home) == [("invalid_date", "25/3/2026")]
    staged = empty_home.query(f"select {DATE} from staging.stg_incident order by record_number limit 3")  # noqa: S608
    assert [cell for (cell,) in staged] == ["2026-03-25", "2026-04-03", "2026-07-04T09:30:00-05:30"]
    wrong = empty_home.loader("--validate-only", "--source", source, "--assume-zone", "Mars/X")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "Europe/London" in wrong.stderr
