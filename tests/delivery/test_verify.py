"""Reading back after an import: what is stored is what was sent, or the record and the fields are named."""

import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from loader.console import Meter
from sandbox.process import Sandbox
from tests.delivery.test_delivery import ALL, counts
from tests.support import Home, fixture

# The list is read three times by the probe: without a token, with it, for its keys.
BY_THE_PROBE = 3


@contextmanager
def stored_records(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Open the sandbox's own database, to change what it has stored."""
    with closing(sqlite3.connect(tmp_path / "sandbox.sqlite", timeout=10, isolation_level=None)) as connection:
        yield connection


def crowded(tmp_path: Path, count: int = 150) -> None:
    """Put newer records over those of the sandbox; the newest 150 are found first by the search for two of ours."""
    with stored_records(tmp_path) as records:
        records.execute(
            """
            with recursive series(value) as (select 1 union all select value + 1 from series where value < :count)
            insert into incidents (reference_number, title, description, incident_date, incident_type, severity, status,
                tenant, created_at)
            select 'OTHER-' || value, 'Other',
                case when value > :count - 150 then 'after EXT-2026-0003, ext-2026-0005' else 'Text' end,
                '2026-01-15T00:00:00Z', 'other', 'low', 'closed', 'default', '2026-01-15T00:00:00Z'
            from series
            """,
            {"count": count},
        )


def readings(sandbox: Sandbox) -> int:
    """Return how often the list was read after the last record was posted."""
    methods = [entry["method"] for entry in sandbox.requests()]
    return methods[::-1].index("POST") if "POST" in methods else 0


def verdicts(home: Home) -> dict[str, tuple[Any, ...]]:
    """Return result, verdict and differing fields of every record that the last run has read back."""
    rows = home.query(
        "select reference_number, result, verdict, differing_fields from audit.fct_readback "
        "where run_id = (select max_by(run_id, start_time) from audit.fct_runs) order by record_number"
    )
    return {reference: tuple(rest) for reference, *rest in rows}


def test_what_was_stored_as_it_was_sent_is_identical(home: Home, sandbox: Sandbox):
    done = home.loader("--import", "--verify")
    assert done.returncode == 0, done.stderr
    assert verdicts(home) == dict.fromkeys(ALL, ("created", "identical", None))
    assert "read back 5 = identical 5, differs 0, not visible 0, not verified 0" in done.stdout
    assert readings(sandbox) == 1, "the records that were created last are on the first page"
    (document,) = home.documents("import_summary")
    assert document["readback"] == {
        "sampled": 5, "identical": 5, "differs": 0, "not_visible": 0, "not_verified": 0, "unproven": 0,
    }  # fmt: skip
    assert {record["verdict"] for record in document["import_records"]} == {"identical"}


def test_without_the_flag_nothing_is_read_back(home: Home, sandbox: Sandbox):
    done = home.loader("--import")
    assert (done.returncode, readings(sandbox), verdicts(home)) == (0, 0, {})
    assert home.documents("import_summary")[0]["readback"] is None


def test_a_created_record_that_is_lost_or_changed_is_an_error(home: Home, tmp_path: Path):
    with stored_records(tmp_path) as records:
        records.executescript("""
            create trigger lost after insert on incidents when new.reference_number = 'EXT-2026-0002'
            begin delete from incidents where id = new.id; end;
            create trigger changed after insert on incidents when new.reference_number = 'EXT-2026-0004'
            begin update incidents set severity = 'negligible', title = title || '.' where id = new.id; end;
        """)
    done = home.loader("--import", "--verify")
    assert done.returncode == 1, done.stderr
    assert counts(home) == {"created": 5}
    assert verdicts(home) == dict.fromkeys(ALL, ("created", "identical", None)) | {
        "EXT-2026-0002": ("created", "not_visible", None),
        "EXT-2026-0004": ("created", "differs", "title, severity"),
    }
    assert "read back 5 = identical 3, differs 1, not visible 1, not verified 0" in done.stdout
    assert "NOT PROVEN: 1 created records are stored otherwise than they were sent" in done.stdout
    assert "  line 5 (EXT-2026-0004): title, severity" in done.stdout
    assert "NOT PROVEN: 1 created records are not on the platform" in done.stdout
    assert "  line 3 (EXT-2026-0002)\n" in done.stdout
    assert home.query("select result, verdict, records, differing_fields from audit.rpt_readback order by verdict") == [
        ("created", "differs", 1, "severity, title"),
        ("created", "identical", 3, None),
        ("created", "not_visible", 1, None),
    ]
    assert home.query("select exit_code, closes from audit.fct_runs") == [(1, True)]


def test_a_record_that_was_there_before_and_differs_is_a_warning(home: Home, tmp_path: Path):
    assert home.loader("--import").returncode == 0
    with stored_records(tmp_path) as records:
        records.execute("update incidents set location = 'Bay 99' where reference_number = 'EXT-2026-0001'")
        records.execute("update incidents set tenant = 'other' where reference_number = 'EXT-2026-0005'")
    done = home.loader("--import", "--verify")
    assert done.returncode == 0, done.stderr
    found = verdicts(home)
    assert found["EXT-2026-0001"] == ("exists", "differs", "location")
    assert found["EXT-2026-0005"] == ("exists", "not_visible", None)
    assert [verdict for _, verdict, _ in found.values()].count("identical") == 3
    assert "warning: 1 records that were there before differ from this file" in done.stdout
    assert "  line 2 (EXT-2026-0001): location\n" in done.stdout
    assert "correct them on the platform, or in the file: an import does not update what is there" in done.stdout
    assert "warning: 1 records that exist cannot be seen" in done.stdout
    assert "those records were not updated" in done.stdout


def test_a_record_that_the_run_before_created_must_be_there_too(home: Home, tmp_path: Path):
    home.loader("--import", "--batch-size", "2", ETL_KILL_AT="after:commit_outcomes:2")
    with stored_records(tmp_path) as records:
        records.execute("delete from incidents where reference_number = 'EXT-2026-0001'")
    done = home.loader("--import", "--verify")
    assert done.returncode == 1, done.stderr
    assert verdicts(home)["EXT-2026-0001"] == ("exists", "not_visible", None)
    assert "NOT PROVEN: 1 created records are not on the platform" in done.stdout


def test_a_sample_is_drawn_by_the_run_id(home: Home):
    for _ in range(2):
        done = home.loader("--import", "--verify-sample", "2")
        assert done.returncode == 0, done.stderr
        assert "read back 2 = identical 2" in done.stdout
    for (run_id,) in home.query("select run_id from audit.fct_runs"):
        drawn = home.query("select record_number from audit.fct_readback where run_id = ? order by all", run_id)
        expected = sorted(random.Random(run_id).sample(range(1, 6), 2))  # noqa: S311 - repeatable, not secret
        assert [number for (number,) in drawn] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--validate-only", "--verify"], "--verify reads back what an import has sent, --validate-only sends nothing"),
        (["--dry-run", "--verify-sample", "3"], "--dry-run sends nothing: use --import"),
        (["--import", "--verify-sample", "0"], "--verify-sample must be at least 1, not 0"),
    ],
)
def test_it_is_refused_where_it_means_nothing(home: Home, sandbox: Sandbox, arguments: list[str], message: str):
    done = home.loader(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sandbox.requests() == []


def test_texts_that_the_platform_cleans_are_identical(home: Home):
    source = home.csv(
        "marked.csv",
        'M-1,"R&D <b>bold</b>","one &amp; two\r\nthree, 5 < 6",safety,high,open,2026-01-15T09:30:00+02:00,Bay\xa04',
        'M_2,"Caf\u00e9 \U0001f6a7 ""quoted""","<script>x</script>left",hazard,low,closed,2026-01-14,',
        "M%3\\,plain,text,other,medium,closed,2026-01-13,Gate",
    )
    done = home.loader("--import", "--verify", "--source", source)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(verdicts(home).values()) == {("created", "identical", None)}
    again = home.loader("--import", "--verify-sample", "1")
    assert again.returncode == 0, again.stdout
    assert "read back 1 = identical 1" in again.stdout


def test_titles_that_the_platform_strips_are_identical(home: Home, sandbox: Sandbox):
    """Markup, a character reference or an odd blank at an end of a title, and a cut right behind a blank."""
    source = fixture("titles_that_are_stripped.csv", home.folder)
    done = home.loader("--import", "--verify", "--source", source)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(verdicts(home).values()) == [("created", "identical", None)] * 12
    stored = [record["title"] for record in sandbox.records()]
    assert len(stored) == 12
    assert stored == [title.strip() for title in stored]


def test_many_records_from_before_are_read_by_the_page(home: Home, sandbox: Sandbox, tmp_path: Path):
    """Three pages hold them, where one search each would take 150 requests; no record of the first page is ours."""
    source = home.csv("many.csv", *(f"MANY-{number},A title,Text,safety,low,open,2026-01-05," for number in range(150)))
    assert home.loader("--import", "--source", source).returncode == 0
    crowded(tmp_path)
    done = home.loader("--import", "--verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "read back 150 = identical 150" in done.stdout
    assert readings(sandbox) == 3


def test_few_records_far_from_the_top_are_searched_for(home: Home, sandbox: Sandbox, tmp_path: Path):
    assert home.loader("--import").returncode == 0
    crowded(tmp_path, 600)
    done = home.loader("--import", "--verify")
    assert done.returncode == 0, done.stderr
    assert verdicts(home) == dict.fromkeys(ALL, ("exists", "identical", None))
    # The top of the list, and because six pages are left, a search for each; the newer records fill a page of two.
    assert readings(sandbox) == 1 + 5 + 2


def test_the_time_left_is_that_of_the_answers_to_come():
    meter = Meter(2000, 0, str)
    assert "left" not in meter.line()
    meter.advance("", 0, 10**9)
    assert re.fullmatch(r"0/2000 [\d,]+ days left", meter.line()), "a page without a record of ours counts too"
    meter.advance("identical 1990", 1990, 0)
    assert re.fullmatch(r"1990/2000 identical 1990, [\d.]+/s, 0 seconds left", meter.line())
    meter.advance("identical 2000", 10)
    assert re.fullmatch(r"2000/2000 identical 2000, [\d.]+/s", meter.line())


def test_progress_moves_with_every_answer(home: Home, sandbox: Sandbox, tmp_path: Path):
    """A line comes every five seconds, and all five records are committed at once, twelve seconds after the first."""
    assert home.loader("--import").returncode == 0
    crowded(tmp_path, 600)
    sandbox.fault("latency", value=1.5, method="GET", count=0, skip=BY_THE_PROBE)
    done = home.loader("--import", "--verify")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("reading back from staging ")]
    assert lines[-1].startswith("reading back from staging 5/5 identical 5")
    moving = [line for line in lines if re.match(r"reading back from staging [1-4]/5 identical [1-4], ", line)]
    assert moving, lines
    assert all(re.search(r", \d+ seconds? left$", line) for line in moving), moving
