"""dbt as the command starts it: early, with the same exit codes, and a database that is closed at its end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from loader.early_dbt import EarlyDbt
from tests.support import ROOT, Home

RUN = "import sys; from loader.start_dbt import run_dbt; sys.exit(run_dbt(sys.argv[1:]))"
# Starts a dbt, says which, and is killed before it has told it anything.
KILLED = """
import os, signal
from loader.early_dbt import EarlyDbt
print(EarlyDbt().process_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_is_told_what_to_do_once_it_is_started(tmp_path: Path):
    variables = {"DBT_LOG_PATH": str(tmp_path), "DBT_TARGET_PATH": str(tmp_path), "ETL_DATABASE": str(tmp_path / "d")}
    with EarlyDbt() as dbt, (tmp_path / "spool").open("wb") as spool:
        dbt.tell(["--no-use-colors", "seed", "--select", "enum_map"], variables, [spool.fileno()])
        dbt.wait()
        dbt.output.seek(0)
        assert b"Completed successfully" in dbt.output.read()
    results = json.loads((tmp_path / "run_results.json").read_text(encoding="utf-8"))["results"]
    assert ("seed.incident_etl.enum_map", "success") in [(each["unique_id"], each["status"]) for each in results]


def test_it_ends_with_who_started_it():
    with EarlyDbt() as dbt:
        entry = Path(f"/proc/{dbt.process_id}")
        assert entry.exists()
    assert not entry.exists()
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while is_running(int(done.stdout)):
        assert time.monotonic() < deadline, "it waits for ever"
        time.sleep(0.1)


def is_running(process_id: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        os.kill(process_id, 0)
        return "\nState:\tZ" not in Path(f"/proc/{process_id}/status").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_it_ends_with_the_exit_code_of_dbt_and_a_closed_database(home: Home):
    start = [sys.executable, "-c", RUN, "--no-use-colors"]
    assert home.run([*start, "no-such-command"]).returncode == 2
    test = [*start, "test", "--select", "incident_payload_fits_its_card"]
    assert home.run(test).returncode == 0
    # The longest value that fits, one that does not, an enum that the API does not know; each another record.
    home.query("update payload.fct_incident_payload set location = repeat('&', 60) where record_number = 1")
    assert home.run(test).returncode == 0
    home.query("update payload.fct_incident_payload set location = repeat('&', 61) where record_number = 1")
    home.query("update payload.fct_incident_payload set reference_number = repeat('é', 21) where record_number = 2")
    home.query("update payload.fct_incident_payload set severity = 'dire' where record_number = 3")
    done = home.run(test)
    assert done.returncode == 1
    assert "Got 3 results, configured to fail" in done.stdout
    assert not home.database.with_name(home.database.name + ".wal").exists()
