"""`output_hash`: the same for the same records whatever the clock, the time zone, the file's name and column order.

Days. Two runs are on machines whose calendars never show the same day: their time zones are 26 hours apart. The UTC day
may be the same for both, so the hash is also written down here, for every later day to find again; and only the two
models that judge a date look at the clock, so a verdict changes with the day on which its own date arrives or expires.
"""

import csv
import io
import re
from pathlib import Path

import pytest

from tests.support import HEADER, Home, new_home

# Found once and written down. It changes with the rules of cleaning and validation and with that of
# `record_hash`, and with nothing else.
RECORDED = "7d8456ffdcebb7d6deefa99e025981d91dd577a7f4cf782e2a69068b8baea129"
JUDGES_OF_DATES = {"int_incident_issues.sql", "int_incident_exceptions.sql"}
CLOCK = re.compile(r"\bdate '\d{4}-|\b(now|today|get_current_\w+|current_(date|time|timestamp))\b")
EARLIEST, LATEST = "Etc/GMT+12", "Pacific/Kiritimati"
COLUMNS = [*HEADER.split(","), "shift, or team"]
RECORDS = [
    ["HASH-1", "Loose handrail", "A handrail, loose\nat its foot", "Safety", "", "Open", "2026-01-05", " Stair 3", "A"],
    ["HASH-2", "Late at night", "Near midnight", "hazard", "1", "new", "2025-12-31T23:30:00-11:00", "", "é"],
    ["HASH-3", "&" * 200, "A title that is shortened", "injury", "low", "closed", "2026-01-05", "Stair 3", ""],
    ["HASH-4", "  ", "No title and no such day", "volcano", "low", "closed", "2026-02-30", "Stair 3", "B"],
    ["HASH-7", "Far ahead", "Not yet, on any of our days", "other", "2", "open", "2199-01-01", "Dock", "B"],
    ["HASH-5", "One of two", "The same twice", "other", "2", "open", "2026-01-06", "Dock", "B"],
    ["HASH-5", "One of two", "The same twice", "other", "2", "open", "2026-01-06", "Dock", "B"],
    ["HASH-6", "A reference", "with different content", "other", "3", "open", "2026-01-06", "Dock", ""],
    ["HASH-6", "A reference", "with other content", "other", "3", "open", "2026-01-06", "Dock", ""],
]


def written(order: list[int], line_end: str, records: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    rows = [[row[at] for at in order] for row in [COLUMNS, *records]]
    csv.writer(text, lineterminator=line_end).writerows(rows)
    return text.getvalue().encode()


def output_hash(folder: Path, name: str, data: bytes, zone: str) -> str:
    """Validate these bytes on a machine in this time zone; return the hash, which report and database have alike."""
    home = new_home(folder)
    source = folder / name
    source.write_bytes(data)
    done = home.loader("--validate-only", "--source", source, TZ=zone)
    assert done.returncode == 1, done.stderr
    (report,) = home.documents("validation_incident")
    assert home.query("select output_hash from validation.int_incident_totals") == [(report["output_hash"],)]
    assert re.fullmatch("[0-9a-f]{64}", report["output_hash"])
    return str(report["output_hash"])


@pytest.fixture(scope="module")
def hashed(workplace: Path) -> str:
    """Return the hash of the records as they stand, found where the day begins last."""
    data = written(list(range(len(COLUMNS))), "\n", RECORDS)
    return output_hash(workplace / "hash_late", "export.csv", data, EARLIEST)


def test_the_hash_is_the_one_of_another_day(hashed: str):
    assert hashed == RECORDED


def test_the_hash_does_not_depend_on_time_zone_local_day_order_of_columns_or_file(hashed: str, place: Path):
    data = b"\xef\xbb\xbf" + written([8, 3, 0, 7, 1, 6, 2, 5, 4], "\r\n", RECORDS)
    assert output_hash(place, "another name.csv", data, LATEST) == hashed


@pytest.mark.usefixtures("hashed")
def test_only_the_models_that_judge_dates_look_at_the_clock(workplace: Path):
    models = list((Home(workplace / "hash_late").target / "run").rglob("dbt_project/models/*/*_incident*.sql"))
    assert "int_incident_totals.sql" in {path.name for path in models}
    assert {path.name for path in models if CLOCK.search(path.read_text(encoding="utf-8"))} == JUDGES_OF_DATES


@pytest.mark.parametrize(("record", "column", "cell"), [(1, 8, "e"), (0, 7, "Stair 3")])
def test_the_hash_changes_with_one_character(hashed: str, place: Path, record: int, column: int, cell: str):
    """Of a column that is not sent; and white space that cleaning removes."""
    records = [list(row) for row in RECORDS]
    assert records[record][column] != cell
    records[record][column] = cell
    data = written(list(range(len(COLUMNS))), "\n", records)
    assert output_hash(place, "export.csv", data, "UTC") != hashed
