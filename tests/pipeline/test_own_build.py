"""A run posts the file that it was given or nothing, whatever other dbt commands do meanwhile in the same checkout."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.process import Sandbox
from tests.support import ROOT, Home, wait_for

RECORD = "{},A good one,Something happened there.,safety,high,open,2026-01-05,Bay 1"
# What another project may have set: each would build something else, elsewhere, or nothing.
FOREIGN = {
    "DBT_TARGET": "warehouse",
    "DBT_PROFILE": "another",
    "DBT_EMPTY": "true",
    "DBT_SAMPLE": "1 day",
    "DBT_SELECT": "staging",
    "DBT_EXCLUDE": "fct_incident_payload",
    "DBT_RESOURCE_TYPES": "seed",
    "DBT_FULL_REFRESH": "true",
}
WAIT_SECONDS = 120


@pytest.fixture
def wanted(home: Home) -> Path:
    return home.csv("wanted.csv", RECORD.format("WANTED-1"), RECORD.format("WANTED-2"))


@pytest.fixture
def other(home: Home) -> Path:
    return home.csv("other.csv", RECORD.format("OTHER-1"))


def posted(sandbox: Sandbox) -> set[str]:
    return {record["reference_number"] for record in sandbox.records()}


@contextmanager
def importing(home: Home, source: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run the import of a file beside the test; end it and its dbt with the test."""
    command = [sys.executable, "-m", "loader", "--environment", "staging", "--import", "--source", str(source)]
    environment = home.variables() | variables
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def dbt_of(process: subprocess.Popen[str]) -> int:
    """Return the id of the dbt that a run has started, once it is there."""

    def find() -> int | None:
        assert process.poll() is None, process.communicate()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                of_run = os.getpgid(int(entry.name)) == process.pid
                if of_run and b"loader.run.start_dbt" in (entry / "cmdline").read_bytes():
                    return int(entry.name)
            except (ProcessLookupError, FileNotFoundError):
                continue
        return None

    return wait_for(find)


def is_in_state(process_id: int, state: str) -> bool:
    try:
        return f"State:\t{state}" in Path(f"/proc/{process_id}/status").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return state == "gone"


def build_by_hand(home: Home, source: Path) -> None:
    done = home.dbt(
        "build", "--select", "+fct_incident_payload", "--exclude-resource-type", "unit_test", ETL_SOURCE=str(source)
    )
    assert done.returncode == 0, done.stdout


def test_variables_of_another_dbt_project_change_nothing(home: Home, sandbox: Sandbox, wanted: Path):
    profiles = home.folder / "profiles"
    profiles.mkdir()
    elsewhere = (ROOT / "profiles.yml").read_text(encoding="utf-8").replace("ETL_DATABASE", "NO_SUCH_VARIABLE")
    (profiles / "profiles.yml").write_text(
        elsewhere.replace("data/etl.duckdb", str(profiles / "other.duckdb")), "utf-8"
    )
    foreign = FOREIGN | {"DBT_PROFILES_DIR": str(profiles), "DBT_PROJECT_DIR": str(profiles)}
    done = home.loader("--import", "--source", wanted, DBT_ENV_CUSTOM_ENV_TEAM="x", **foreign)
    assert done.returncode == 0, done.stderr
    assert posted(sandbox) == {"WANTED-1", "WANTED-2"}
    (notice,) = [line for line in done.stderr.splitlines() if "not passed on to dbt" in line]
    assert notice.endswith(": " + ", ".join(sorted(foreign)))
    assert not (profiles / "other.duckdb").exists()


def test_a_killed_dbt_is_named_and_no_other_one_is_taken_for_it(
    home: Home, sandbox: Sandbox, wanted: Path, other: Path
):
    with importing(home, wanted) as process:
        own = dbt_of(process)
        os.kill(own, signal.SIGSTOP)
        # Another database in the same checkout, whose dbt writes its results where every dbt does.
        elsewhere = Home(home.folder, home.environment | {"ETL_DATABASE": str(home.folder / "elsewhere.duckdb")})
        build_by_hand(elsewhere, other)
        os.kill(own, signal.SIGKILL)
        out, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 4, out + err
    assert err.splitlines()[-1] == "error: dbt was killed by signal 9; run the same command again"
    assert posted(sandbox) == set()
    assert home.loader("--import", "--source", wanted).returncode == 0
    assert posted(sandbox) == {"WANTED-1", "WANTED-2"}


@pytest.mark.parametrize("point", ["after:build", "before:close_unfinished", "before:carry_over"])
def test_a_build_by_hand_in_the_middle_is_not_posted(
    home: Home, sandbox: Sandbox, wanted: Path, other: Path, point: str
):
    with importing(home, wanted, ETL_STOP_AT=point) as process:
        wait_for(lambda: is_in_state(process.pid, "T"))
        build_by_hand(home, other)
        os.kill(process.pid, signal.SIGCONT)
        out, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 4, out + err
    assert "another dbt invocation" in out + err
    assert "Traceback" not in out + err
    assert posted(sandbox) == set()
    assert home.loader("--import", "--source", wanted).returncode == 0
    assert posted(sandbox) == {"WANTED-1", "WANTED-2"}


def test_the_dbt_of_a_killed_run_ends_and_the_next_run_posts_its_own_file(
    home: Home, sandbox: Sandbox, wanted: Path, other: Path
):
    with importing(home, other) as killed:
        orphan = dbt_of(killed)
        os.kill(orphan, signal.SIGSTOP)
        killed.kill()
        killed.wait()
        with importing(home, wanted) as process:
            dbt_of(process)
            os.kill(orphan, signal.SIGCONT)
            out, err = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 0, out + err
        wait_for(lambda: is_in_state(orphan, "gone") or is_in_state(orphan, "Z"))
    assert posted(sandbox) == {"WANTED-1", "WANTED-2"}
