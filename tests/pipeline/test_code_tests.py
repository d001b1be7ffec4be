"""The tests of seeds and cards try the code: a run leaves them out while it is the code with which they have passed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.test_exceptions import Project, project  # noqa: F401 - a fixture
from tests.support import GOLDEN, Home, wait_for

pytestmark = pytest.mark.dbt
CODE_TESTS = {
    "a_field_is_in_its_card_once",
    "an_entity_has_one_card",
    "enum_map_is_sound",
    "exceptions_are_documented",
    "issue_codes_are_sound",
    "severities_are_allowed",
}


def ran(home: Home) -> tuple[set[str], set[str]]:
    """Return the tests of the last invocation that ran, and those that have passed before."""
    rows = home.query(
        "select name, status from audit.fct_dbt_results where resource_type = 'test' and entity_type = 'incident' "
        "and invocation_id = (select arg_max(invocation_id, finished_at) from audit.fct_dbt_invocations)"
    )
    passed, before = ({name for name, status in rows if status == wanted} for wanted in ("pass", "passed_before"))
    return passed, before


def test_they_run_again_when_a_seed_has_changed_and_the_gate_knows_that_they_passed(project: Project):  # noqa: F811
    home, enum_map = project.home, project.folder / "data" / "reference" / "enum_map.csv"
    assert project.run("--validate-only", "--source", GOLDEN).returncode == 0
    first, before = ran(home)
    assert first >= CODE_TESTS
    assert before == set()
    done = project.run("--dry-run", "--source", GOLDEN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran(home) == (first - CODE_TESTS, CODE_TESTS)
    enum_map.write_text(enum_map.read_text(encoding="utf-8") + "incident,severity,grave,critical\n", encoding="utf-8")
    assert project.run("--validate-only", "--source", GOLDEN).returncode == 0
    assert ran(home) == (first, set())
    enum_map.write_text(enum_map.read_text(encoding="utf-8") + "incident,severity,grave,high\n", encoding="utf-8")
    done = project.run("--validate-only", "--source", GOLDEN)
    assert done.returncode == 2, done.stdout
    assert "the row incident,severity,grave,critical is there 2 times; remove all but one" in done.stderr


def test_a_seed_that_changes_while_dbt_is_at_work_stops_the_run(project: Project):  # noqa: F811
    enum_map = project.folder / "data" / "reference" / "enum_map.csv"
    command = [
        sys.executable,
        project.folder / "scripts" / "etl" / "pipeline.py",
        "--environment",
        "staging",
        "--dry-run",
    ]
    command += ["--source", GOLDEN]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=project.home.variables(), **options) as process:
        child = wait_for(lambda: Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())[0]
        os.kill(int(child), signal.SIGSTOP)
        enum_map.write_text(
            enum_map.read_text(encoding="utf-8") + "incident,severity,grave,critical\n", encoding="utf-8"
        )
        os.kill(int(child), signal.SIGCONT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert "was changed while dbt was at work; run again" in err
