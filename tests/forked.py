"""The pipeline command in a process that has its modules loaded already, to be killed; what must hold after that."""

import signal
from collections import Counter
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from sandbox.process import Sandbox
from tests import warm
from tests.support import COMMAND_SECONDS, Home, wait_for


def started(variables: dict[str, str], log: Path, *arguments: str) -> ForkServerProcess:
    """Start `python -m loader ...` with these variables alone; what it prints is appended to `log`."""
    return warm.start("loader", arguments, variables, log, log)


def killed(home: Home, point: str, *arguments: str) -> None:
    process = started(home.variables() | {"ETL_KILL_AT": point}, home.folder / "log", "--import", *arguments)
    process.join(COMMAND_SECONDS)
    assert process.exitcode == -signal.SIGKILL, f"the run never reached {point}: {(home.folder / 'log').read_text()}"


def finished(home: Home, sandbox: Sandbox) -> None:
    """Run the same command again; assert that every record is accounted for and created once, by one run alone."""
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    accounted(home)
    created = home.query(
        "select reference_number, count(*) from audit.fct_import_records where result = 'created' group by 1"
    )
    by_server = Counter(entry["reference_number"] for entry in sandbox.requests() if entry["status"] == 201)
    assert set(by_server.values()) == {1}
    assert dict(created) == by_server
    ready = home.query("select count(*) from payload.fct_incident_payload")
    assert [(len(sandbox.records()),)] == ready == [(len(created),)]


def accounted(home: Home) -> None:
    """Assert that every run that began to post has each ready record once, and that its counts close."""
    runs = home.query("select run_id, ready_records, closes from audit.fct_runs where mode = 'import'")
    for run_id, ready, closes in runs:
        ((records, distinct),) = home.query(
            "select count(*), count(distinct record_number) from audit.fct_import_records where run_id = ?", run_id
        )
        assert (records, distinct, closes) == (ready, ready, True), run_id
    started_runs = "select distinct run_id from audit.fct_run_events where action = 'posting_started' order by all"
    assert home.query(started_runs) == [(run_id,) for run_id, *_ in sorted(runs)]


def wait_for_a_post(sandbox: Sandbox) -> None:
    wait_for(lambda: any(entry["method"] == "POST" for entry in sandbox.requests()))
