"""A kill at any instant: every record is accounted for, nothing is stored twice, and the same command goes on."""

import random
import time
from pathlib import Path

import duckdb
import pytest

from loader.steps import Step
from sandbox.process import Sandbox
from tests.forked import accounted, finished, killed, started, wait_for_a_post
from tests.support import HEADER, Home, new_home

pytestmark = [pytest.mark.kill, pytest.mark.dbt]

# Every label of the loader itself; dbt's build is a process of its own, and what it leaves is the gate's matter.
POINTS = [f"{side}:{step.value}" for step in Step if step is not Step.BUILD for side in ("before", "after")]
FEW, MANY = 12, 500


def with_records(folder: Path, count: int) -> Path:
    """Return a database in which this many records are ready to be posted."""
    home = new_home(folder)
    records = [f"K-{number:04},Loose rail,Seen at gate 4,near_miss,low,open,2026-01-15," for number in range(count)]
    source = home.folder / "many.csv"
    source.write_text("\n".join([HEADER, *records]) + "\n", encoding="utf-8")
    done = home.dbt("build", "--exclude-resource-type", "unit_test", ETL_SOURCE=str(source))
    assert done.returncode == 0, done.stdout
    return home.database


@pytest.fixture(scope="module")
def many(workplace: Path) -> Path:
    """Return a database in which more records stand than a run can post before it is killed."""
    return with_records(workplace / "many", MANY)


@pytest.fixture(scope="module")
def few(workplace: Path) -> Path:
    """Return a database whose records take three batches."""
    return with_records(workplace / "few", FEW)


def aimed(folder: Path, database: Path, sandbox: Sandbox) -> Home:
    """Return a home with this database, whose staging environment is the sandbox."""
    variables = {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token(), "ETL_ENVIRONMENT": "staging"}
    return new_home(folder, database, **variables)


@pytest.fixture
def crowd(workplace: Path, many: Path, sandbox: Sandbox, request: pytest.FixtureRequest) -> Home:
    """Return a home with many records."""
    return aimed(workplace / f"crowd_{request.node.name[:60]}", many, sandbox)


def test_a_kill_at_every_label_one_after_the_other(workplace: Path, few: Path, sandbox: Sandbox):
    home = aimed(workplace / "every_label", few, sandbox)
    for point in POINTS:
        killed(home, point, "--batch-size", "4", "--verify")
        home.query("select count(*) from audit.fct_runs")
    finished(home, sandbox)


def test_fifty_kills_at_random_moments(crowd: Home, sandbox: Sandbox):
    """Each is the same command again; the server is slow, so that most of them do not get through."""
    draw = random.Random(20_261_123)  # noqa: S311 - repeatable, not secret
    sandbox.fault("latency", count=0, value=0.4)
    until_first_post = 0.0
    for _ in range(50):
        begun = time.monotonic()
        process = started(crowd.variables(), crowd.folder / "log", "--import", "--batch-size", "4")
        if until_first_post:
            time.sleep(draw.uniform(0.1, 1.6) * until_first_post)
        else:
            wait_for_a_post(sandbox)
            until_first_post = time.monotonic() - begun
        process.kill()
        process.join(60)
    assert "Traceback" not in (crowd.folder / "log").read_text()
    sandbox.clear_faults()
    assert sandbox.records()
    finished(crowd, sandbox)


def test_every_answer_lost_after_the_commit_ends_as_ours(crowd: Home, sandbox: Sandbox):
    for number in range(MANY):
        sandbox.fault("drop_after_commit", reference=f"K-{number:04}")
    done = crowd.loader("--import", "--batch-size", "200")
    assert done.returncode == 0, done.stdout
    ours = "select result, confirmed_by, attempts, count(*) from audit.fct_import_records group by all"
    assert crowd.query(ours) == [("created", "conflict_after_unknown", 2, MANY)]
    assert len(sandbox.records()) == MANY
    accounted(crowd)


def test_a_shell_queries_while_records_are_posted(crowd: Home, sandbox: Sandbox):
    crowd.settings(lock_wait_seconds="30")
    sandbox.fault("latency", count=0, value=0.03)
    process = started(crowd.variables(), crowd.folder / "log", "--import", "--batch-size", "50")
    answers: list[int] = []
    while process.is_alive():
        try:
            with duckdb.connect(str(crowd.database), read_only=True) as connection:
                found = connection.execute("select count(*) from audit.fct_import_records").fetchone()
        except duckdb.IOException:
            found = None
        if found and 0 < found[0] < MANY:
            answers.append(found[0])
        time.sleep(0.05)
    assert process.exitcode == 0, (crowd.folder / "log").read_text()
    assert len(answers) >= 10
    assert answers == sorted(answers)
    assert crowd.query("select created_records, closes from audit.fct_runs") == [(MANY, True)]
