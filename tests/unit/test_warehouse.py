"""Rows and lists go to DuckDB as one text: nothing of them is changed or lost, and each value costs next to nothing."""

import importlib.abc
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import duckdb
import pytest

from loader.__main__ import main
from loader.storage.warehouse import MEMORY_LIMIT, NUMBERS, TEXTS, Warehouse, fetch, holder_of, in_bulk, insert
from tests.inside import run_inside
from tests.support import Home

TYPES = {
    "text": "varchar",
    "document": "json",
    "small": "integer",
    "large": "bigint",
    "huge": "hugeint",
    "share": "double",
    "moment": "timestamp",
    "day": "date",
    "holds": "boolean",
}
UNICODE = "\0 \x01\x7f\r\n\t\"'\\ é e\u0301 \u2028 \ufeff \ufdd0 \uffff 😀 null {} [1]"
ROWS = [
    {
        "text": UNICODE,
        "document": '{"a": [1, "\\ud83d\\ude00", null]}',
        "small": -(2**31),
        "large": 2**63 - 1,
        "huge": 2**100,
        "share": 0.1 + 0.2,
        "moment": datetime.fromisoformat("2026-01-01 00:00:00.000001"),
        "day": date(1, 1, 1),
        "holds": True,
    },
    dict.fromkeys(TYPES),
    {
        "text": "",
        "document": '"text"',
        "small": 0,
        "large": -(2**63),
        "huge": -1,
        "share": 5e-324,
        "moment": datetime.fromisoformat("9999-12-31 23:59:59.999999"),
        "day": date.max,
        "holds": False,
    },
]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("create schema audit")
        opened.execute(f"create table audit.kept ({', '.join(' '.join(column) for column in TYPES.items())})")
        yield opened


@contextmanager
def looked_up(name: str) -> Iterator[list[str]]:
    """Yield the names of the modules at and below `name` that are looked for meanwhile, each time anew."""
    found: list[str] = []

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, fullname: str, *_: Any) -> None:
            if fullname.split(".", maxsplit=1)[0] == name:
                found.append(fullname)

    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield found
    finally:
        sys.meta_path.remove(finder)


def test_every_kind_of_value_is_kept_as_it_is(connection: duckdb.DuckDBPyConnection):
    insert(connection, "kept", ROWS)
    assert fetch(connection, "select * from audit.kept") == ROWS


def test_numbers_that_are_none_are_kept(connection: duckdb.DuckDBPyConnection):
    insert(connection, "kept", [{"share": share} for share in (math.nan, math.inf, -math.inf)])
    shares = [row["share"] for row in fetch(connection, "select share from audit.kept")]
    assert math.isnan(shares[0])
    assert shares[1:] == [math.inf, -math.inf]


def test_a_lone_surrogate_becomes_a_question_mark(connection: duckdb.DuckDBPyConnection):
    insert(connection, "kept", [{"text": "a\ud800b"}])
    assert fetch(connection, "select text from audit.kept") == [{"text": "a?b"}]
    assert connection.execute(f"select {TEXTS}", [in_bulk(["\udcff"])]).fetchall() == [(["?"],)]


def test_a_column_that_only_one_row_has_is_kept(connection: duckdb.DuckDBPyConnection):
    insert(connection, "kept", [{"text": "first"}, {"text": "second", "small": 2}])
    assert fetch(connection, "select text, small from audit.kept") == [
        {"text": "first", "small": None},
        {"text": "second", "small": 2},
    ]


@pytest.mark.parametrize(
    "row", [{"small": "many"}, {"small": 2**31}, {"large": 2**63}, {"moment": "soon"}, {"holds": "perhaps"}]
)
def test_a_value_of_another_type_is_an_error_and_not_null(connection: duckdb.DuckDBPyConnection, row: dict[str, Any]):
    with pytest.raises(duckdb.ConversionException):
        insert(connection, "kept", [row])


def test_a_column_that_the_table_lacks_is_an_error(connection: duckdb.DuckDBPyConnection):
    with pytest.raises(duckdb.BinderException):
        insert(connection, "kept", [{"text": "known", "newer": 1}])


def test_lists_are_read_as_they_are(connection: duckdb.DuckDBPyConnection):
    texts, numbers = [UNICODE, "", None], [2**63 - 1, -(2**63), 0]
    assert connection.execute(f"select {TEXTS}, {NUMBERS}", [in_bulk(texts), in_bulk(numbers)]).fetchall() == [
        (texts, numbers)
    ]


def test_ten_times_the_rows_take_no_more_looks_for_pandas(connection: duckdb.DuckDBPyConnection):
    # DuckDB looks for it at every Python value of a parameter: 70 ms for 100 rows, most of the time of a fast delivery.
    looks = []
    for rows in (ROWS, ROWS * 10):
        with looked_up("pandas") as found:
            insert(connection, "kept", rows)
        looks.append(len(found))
    assert looks[0] == looks[1]


def test_no_command_looks_for_pandas_oftener_the_more_records_there_are(home: Home):
    looks: dict[int, list[int]] = {}
    for records in (20, 200):
        lines = [f"R-{records}-{at},Title,Text,injury,low,reported,2026-01-15,Yard" for at in range(records)]
        source = str(home.csv(f"{records}.csv", *lines))
        imported = ("--environment", "staging", "--import", "--batch-size", "500", "--source", source)
        looks[records] = []
        for arguments in (imported, ("explain", f"R-{records}-7"), ("report", "last", "--html"), ("audit-verify",)):
            with looked_up("pandas") as found:
                done = run_inside(home, main, *arguments)
            assert done.returncode == 0, done.stderr
            looks[records].append(len(found))
    assert all(many <= few + 10 for few, many in zip(looks[20], looks[200], strict=True)), looks


def test_our_own_connections_take_no_more_memory_than_dbt(home: Home):
    """A copy of many changed cells took 2.5 GB where nothing bounded it."""
    warehouse = Warehouse(home.database, 1, print)
    asked = "select current_setting('memory_limit')"
    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as bounded:
        expected = bounded.execute(asked).fetchall()
    with warehouse.connection() as written:
        assert written.execute(asked).fetchall() == expected
    with warehouse.connection(read_only=True) as read:
        assert read.execute(asked).fetchall() == expected
    with warehouse.apart() as apart:
        assert apart.execute(asked).fetchall() == expected


@pytest.mark.parametrize(
    ("held_in", "holder"), [("/usr/bin/python3.11 (PID 4711)", "process 4711"), ("PID 0", "another process")]
)
def test_a_database_that_is_held_is_told_from_one_that_is_broken(held_in: str, holder: str):
    """DuckDB names process 0 where the holder cannot be seen, or has just let go: it was taken for a broken disk."""
    message = (
        f'IO Error: Could not set lock on file "/data/etl.duckdb": Conflicting lock is held in {held_in}. However,'
    )
    assert holder_of(message) == holder
    assert holder_of('IO Error: Cannot open file "/data/etl.duckdb": Permission denied') is None
