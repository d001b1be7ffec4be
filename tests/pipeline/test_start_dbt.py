"""dbt as the command starts it: its results, its exit codes, a database that is closed at its end."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from loader.run.dbt import environment_of_dbt, start_dbt
from tests.support import CARD, FIELDS, GOLDEN, Home, copied_project

pytestmark = pytest.mark.dbt

RUN = "import sys; from loader.run.start_dbt import run_dbt; sys.exit(run_dbt(sys.argv[1:], 2))"


def test_it_hands_its_results_to_who_started_it_alone(tmp_path: Path):
    folders = {"DBT_LOG_PATH": str(tmp_path), "DBT_TARGET_PATH": str(tmp_path), "ETL_DATABASE": str(tmp_path / "d")}
    variables = environment_of_dbt(print) | folders
    arguments = ["--no-use-colors", "seed", "--select", "enum_map"]
    with tempfile.TemporaryFile() as results, tempfile.TemporaryFile() as output:
        with start_dbt(arguments, variables, [results.fileno()], output.fileno()) as dbt:
            assert dbt.wait() == 0
        output.seek(0)
        results.seek(0)
        assert b"Completed successfully" in output.read()
        *told, done = map(json.loads, results.read().splitlines())
        (node,) = [each for each in done["nodes"] if each["unique_id"].startswith("seed.")]
    assert told == [{"stage": "reference", "index": 1, "total": 1}]
    assert (node["unique_id"], node["status"]) == ("seed.incident_etl.enum_map", "success")
    assert not (tmp_path / "run_results.json").exists()


def test_it_ends_with_who_started_it():
    with (
        tempfile.TemporaryFile() as output,
        start_dbt(["list"], environment_of_dbt(print), [1], output.fileno()) as dbt,
    ):
        entry = Path(f"/proc/{dbt.pid}")
        assert entry.exists()
    assert not entry.exists()


def test_it_ends_with_the_exit_code_of_dbt_and_a_closed_database(home: Home):
    start = [sys.executable, "-c", RUN, "--no-use-colors"]
    assert home.run([*start, "no-such-command"]).returncode == 2
    test = [*start, "test", "--select", "incident_payload_fits_its_card"]
    assert home.run(test).returncode == 0
    update, fits = "update payload.fct_incident_payload set", FIELDS["location"].max_length // 5
    # The longest value that fits, one that does not, an enum that the API does not know; each another record.
    home.query(f"{update} location = repeat('&', {fits}) where record_number = 1")
    assert home.run(test).returncode == 0
    home.query(f"{update} location = repeat('&', {fits + 1}) where record_number = 1")
    home.query(f"{update} reference_number = repeat('é', {FIELDS[CARD.key].max_length + 1}) where record_number = 2")
    home.query(f"{update} severity = 'dire' where record_number = 3")
    done = home.run(test)
    assert done.returncode == 1
    assert "Got 3 results, configured to fail" in done.stdout
    assert not home.database.with_name(home.database.name + ".wal").exists()


def test_a_build_by_hand_goes_into_the_project_s_own_database_wherever_it_is_called(home: Home, tmp_path: Path):
    project = copied_project(tmp_path / "project")
    by_hand = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "seed", "--select", "enum_map"]
    at = ["--project-dir", str(project), "--profiles-dir", str(project)]
    variables = home.variables() | {"PYTHONPATH": str(project), "DBT_TARGET_PATH": str(tmp_path / "target")}
    del variables["ETL_DATABASE"]
    for command, folder in ((by_hand, project), ([*by_hand, *at], tmp_path)):
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert (project / "data" / "etl.duckdb").stat().st_size
        (project / "data" / "etl.duckdb").unlink()


def test_going_back_and_forth_between_the_command_and_a_build_by_hand_parses_nothing_anew(home: Home):
    log = home.folder / "logs" / "dbt.log"
    by_hand = ("seed", "--select", "enum_map")
    home.dbt(*by_hand)
    log.unlink()
    assert home.loader("--validate-only", "--source", GOLDEN).returncode == 0
    assert home.dbt(*by_hand).returncode == 0
    said = log.read_text(encoding="utf-8")
    assert said.count("Partial parsing enabled, no changes found") == 2
    assert "Unable to do partial parsing" not in said
