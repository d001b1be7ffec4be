"""One run at a time has a database, whatever it is called and whatever becomes of its lock; nothing is kept twice."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loader.config import database_path
from loader.errors import DatabaseLocked
from loader.storage.lock import run_lock
from sandbox.process import Sandbox
from tests.forked import accounted, finished, killed, started, wait_for_a_post
from tests.support import Home

LOCK, SEAL = "etl.duckdb.lock", "etl.duckdb.seal"
EVENT = "where action = 'posting_started'"
LATER = "update audit.fct_run_events set event_time = event_time - interval {} hour"


@pytest.fixture
def posting(home: Home, sandbox: Sandbox) -> Iterator[ForkServerProcess]:
    """Return a run that has begun to post, halted until it gets SIGCONT: nothing depends on how quick it is."""
    home.settings(read_timeout_seconds="60")
    sandbox.fault("latency", count=0, value=1.0)
    variables = home.variables() | {"ETL_ENVIRONMENT": "staging"}
    process = started(variables, home.folder / "log", "--import", "--batch-size", "1")
    wait_for_a_post(sandbox)
    halt(process, home)
    sandbox.clear_faults()
    try:
        yield process
    finally:
        process.kill()
        process.join(120)


def halt(process: ForkServerProcess, home: Home) -> None:
    """Halt a run at a moment at which it does not have the database open."""
    for _ in range(100):
        os.kill(process.pid or 0, signal.SIGSTOP)
        with contextlib.suppress(duckdb.IOException):
            duckdb.connect(str(home.database)).close()
            return
        os.kill(process.pid or 0, signal.SIGCONT)
        time.sleep(0.01)
    raise AssertionError("the run always has the database open")


def ended(process: ForkServerProcess, home: Home) -> tuple[int | None, str]:
    """Let a halted run go on; return its exit code and the last line that it printed."""
    os.kill(process.pid or 0, signal.SIGCONT)
    process.join(60)
    return process.exitcode, (home.folder / "log").read_text().splitlines()[-1]


def nothing_twice(home: Home, sandbox: Sandbox) -> None:
    """Assert that each run has one row, each of its records one outcome, and each record was created once."""
    for table, key in (("fct_runs", "run_id"), ("fct_import_records", "run_id, record_number")):
        assert home.query(f"select {key} from audit.{table} group by all having count(*) > 1") == []  # noqa: S608
    created = "select reference_number from audit.fct_import_records where result = 'created' group by 1"
    assert home.query(created + " having count(*) > 1") == []
    stored = Counter(entry["reference_number"] for entry in sandbox.requests() if entry["status"] == 201)
    assert set(stored.values()) <= {1}


@pytest.fixture
def link(home: Home) -> Path:
    """Return another name of the home's database: a symlink in another folder, to a symlink."""
    (home.folder / "links").mkdir()
    (home.folder / "first.duckdb").symlink_to("etl.duckdb")
    path = home.folder / "links" / "current.duckdb"
    path.symlink_to(home.folder / "first.duckdb")
    return path


def test_a_run_through_a_symlink_waits_for_the_one_under_way(
    home: Home, sandbox: Sandbox, posting: ForkServerProcess, link: Path
):
    second = home.loader("--import", ETL_DATABASE=str(link))
    assert (second.returncode, f"another run (process {posting.pid})" in second.stderr) == (4, True), second.stderr
    assert str(home.database) in second.stderr
    assert ended(posting, home)[0] == 0, (home.folder / "log").read_text()
    assert home.query("select created_records, closes from audit.fct_runs") == [(5, True)]
    nothing_twice(home, sandbox)


def test_what_is_kept_beside_the_database_is_beside_the_file_itself(home: Home, link: Path):
    assert home.loader("--import", ETL_DATABASE=str(link)).returncode == 0
    assert {LOCK, SEAL} <= {path.name for path in home.folder.iterdir()}
    assert [path.name for path in link.parent.iterdir()] == [link.name]
    done = home.run([sys.executable, "-m", "loader", "audit-verify"])
    assert (done.returncode, "proven" in done.stdout) == (0, True)


def test_a_link_to_a_database_that_is_not_built_yet_names_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "current.duckdb").symlink_to("later/etl.duckdb")
    monkeypatch.setenv("ETL_DATABASE", str(tmp_path / "current.duckdb"))
    assert database_path() == tmp_path.resolve() / "later" / "etl.duckdb"


def test_plain_dbt_refuses_a_link_of_another_name(home: Home, link: Path):
    """DuckDB names the catalogue after the file, dbt after the link: the views of such a build nobody can read."""
    done = home.dbt("build", ETL_DATABASE=str(link))
    assert (done.returncode, f"export ETL_DATABASE={home.database}" in done.stdout) == (2, True), done.stdout


def test_a_run_whose_lock_file_is_removed_stops_and_no_other_one_takes_it_for_dead(
    home: Home, sandbox: Sandbox, posting: ForkServerProcess
):
    (home.folder / LOCK).unlink()
    second = home.loader("--import")
    assert second.returncode == 4, second.stderr
    assert f"process {posting.pid}" in second.stderr
    assert socket.gethostname() in second.stderr
    assert second.stderr.count("error:") == 1
    code, line = ended(posting, home)
    assert (code, f"{home.folder / LOCK}: was removed or replaced" in line) == (4, True), line
    assert "run the same command again" in line
    assert home.query("select count(*) from audit.fct_runs") == [(0,)]
    finished(home, sandbox)
    nothing_twice(home, sandbox)


def test_a_run_that_was_refused_beside_a_living_one_says_so_in_the_audit_trail(home: Home, posting: ForkServerProcess):
    (home.folder / LOCK).unlink()
    assert home.loader("--import").returncode == 4
    ((reason,),) = home.query("select details ->> 'reason' from audit.fct_run_events where action = 'run_refused'")
    assert f"process {posting.pid}" in reason
    posting.kill()
    posting.join(120)
    assert home.loader("--import").returncode == 0
    accounted(home)


@pytest.mark.parametrize("put_back", [False, True])
def test_a_database_that_is_replaced_stops_the_run_and_gets_nothing_of_it(
    home: Home, posting: ForkServerProcess, built: Path, put_back: bool
):
    home.database.unlink()
    home.database.with_name("etl.duckdb.wal").unlink(missing_ok=True)
    if put_back:
        shutil.copy(built, home.database)
    code, line = ended(posting, home)
    assert (code, f"{home.database}: was removed or replaced" in line) == (4, True), line
    assert home.database.exists() is put_back
    if put_back:
        assert hashlib.sha256(home.database.read_bytes()).digest() == hashlib.sha256(built.read_bytes()).digest()


def test_a_hard_link_is_refused(home: Home, sandbox: Sandbox):
    other = home.folder / "other.duckdb"
    other.hardlink_to(home.database)
    for name in (home.database, other):
        for mode in ("--import", "--validate-only"):
            done = home.loader(mode, ETL_DATABASE=str(name))
            assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
            assert f"{name}: has 2 names (hard links)" in done.stderr
    done = home.run([sys.executable, "-m", "loader", "status"], ETL_DATABASE=str(other))
    assert (done.returncode, "has 2 names" in done.stderr) == (2, True), "what is in the other name's log it would miss"
    assert sandbox.requests() == []
    other.unlink()
    assert home.loader("--import").returncode == 0


def test_a_file_that_is_a_mount_of_its_own_is_refused_and_a_folder_is_not(home: Home, sandbox: Sandbox):
    """Beside a mounted file its lock and its log are not those of the file that is mounted."""
    other = home.folder / "a folder"
    (other / "etl.duckdb").parent.mkdir()
    (other / "etl.duckdb").touch()
    database = other / "etl.duckdb"
    run = [sys.executable, "-m", "loader", "--environment", "staging", "--validate-only"]
    mounts = {"file": (home.database, database), "folder": (home.folder, other)}
    done = {}
    for kind, (what, where) in mounts.items():
        script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", what, where, *run]
        done[kind] = home.run(command, ETL_DATABASE=str(database))
    if any("unshare" in one.stderr or "mount:" in one.stderr for one in done.values()):
        pytest.skip(f"this system lets nobody mount: {done}")
    assert (done["file"].returncode, done["file"].stderr.count("\n")) == (2, 1), done["file"]
    assert f"{database}: is mounted by itself" in done["file"].stderr
    assert "mount its folder" in done["file"].stderr
    assert done["folder"].returncode == 0, done["folder"]
    assert sandbox.requests() == []


def test_who_waited_for_a_lock_file_that_is_gone_waits_for_the_new_one(tmp_path: Path):
    database, waits, caught = tmp_path / "etl.duckdb", threading.Event(), []

    def wait() -> None:
        try:
            with run_lock(database, 3, lambda _: waits.set()):
                caught.append("it has the lock too")
        except DatabaseLocked as error:
            caught.append(str(error))

    waiting = threading.Thread(target=wait)
    with run_lock(database, 0, print):
        waiting.start()
        assert waits.wait(30)
        (tmp_path / LOCK).unlink()
        new = run_lock(database, 0, print)
        new.__enter__()
    waiting.join(60)
    new.__exit__(None, None, None)
    assert caught
    assert "is under way for over 3 s" in caught[0]


@contextlib.contextmanager
def asleep() -> Iterator[int]:
    """Yield the id of a process that lives."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def keep(home: Home, change: Callable[[Any], Any]) -> None:
    """Change the process that the killed run has kept with its `posting_started`."""
    change_beginning(home, lambda details: details.update(process=change(details["process"])))


def keep_process(home: Home, **changed: object) -> None:
    keep(home, lambda process: process | changed)


@pytest.fixture
def dead(home: Home) -> Home:
    """Return a home with a run that was killed while it posted, whose process nobody has looked for yet."""
    killed(home, "before:commit_outcomes:2", "--environment", "staging", "--batch-size", "2")
    return home


def test_a_process_that_got_the_number_of_a_dead_one_is_not_it(dead: Home):
    with asleep() as number:
        keep_process(dead, process_id=number)
        done = dead.loader("--import")
    assert (done.returncode, "ended without finishing: 2 unknown" in done.stderr) == (0, True), done.stderr
    assert "host" not in done.stderr
    accounted(dead)


def test_a_process_of_before_the_machine_was_started_again_is_dead(dead: Home):
    with asleep() as number:
        started_at = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19])
        keep_process(dead, process_id=number, started=started_at)
        assert dead.loader("--import").returncode == 4, "this very process lives"
        keep_process(dead, boot_id="another")
        assert dead.loader("--import").returncode == 0
    accounted(dead)


@pytest.mark.parametrize("elsewhere", [{"host": "web-2"}, {"pid_namespace": "pid:[1]"}, {"started": None}])
def test_what_cannot_be_seen_to_be_dead_is_closed_when_it_has_long_been_silent(
    dead: Home, elsewhere: dict[str, object]
):
    with asleep() as number:
        keep_process(dead, process_id=number, **elsewhere)
        refused = dead.loader("--import")
        assert (refused.returncode, refused.stderr.count("error:")) == (4, 1), refused.stderr
        host = elsewhere.get("host", socket.gethostname())
        for part in (f"process {number} of host {host}", "24 h", "other_host_hours", "run the same command again"):
            assert part in refused.stderr
        assert dead.query("select count(*) from audit.fct_runs") == [(0,)]
        dead.query(LATER.format(25))
        done = dead.loader("--import")
    assert done.returncode == 0, done.stderr
    assumed = f"assumed: process {number} of host {host} cannot be seen from here, and was silent for over 24 h"
    assert f"ended without finishing ({assumed}): 2 unknown" in done.stderr
    accounted(dead)


def test_how_long_silence_is_waited_for_is_a_setting(dead: Home):
    keep_process(dead, host="web-2")
    dead.settings(other_host_hours="0")
    done = dead.loader("--import")
    assert (done.returncode, "silent for over 0 h" in done.stderr) == (0, True), done.stderr


def test_a_run_of_an_earlier_version_is_closed_as_before(dead: Home):
    keep(dead, lambda _: None)
    change_beginning(dead, lambda details: details.pop("batch_size"))
    done = dead.loader("--import")
    assert (done.returncode, "ended without finishing: 2 unknown" in done.stderr) == (0, True), done.stderr
    accounted(dead)


@pytest.mark.parametrize("process", ["me", [], {"host": "a"}, {"process_id": "1"}, {"process_id": -1}, {"more": 1}])
def test_a_process_that_no_run_writes_is_refused(dead: Home, process: object):
    is_part = isinstance(process, dict) and "host" not in process
    keep(dead, lambda kept: kept | process if is_part else process)
    done = dead.loader("--import")
    assert (done.returncode, "is not one that a run writes" in done.stderr) == (2, True), done.stderr


def change_beginning(home: Home, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the killed run has kept with its `posting_started`."""
    ((text,),) = home.query(f"select details from audit.fct_run_events {EVENT}")  # noqa: S608
    details = json.loads(text)
    change(details)
    home.query(f"update audit.fct_run_events set details = ? {EVENT}", json.dumps(details))  # noqa: S608


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda details: details.pop("ready_records"), id="less"),
        pytest.param(lambda details: details.update(more=1), id="more"),
        pytest.param(lambda details: details.update(invalid_records="none"), id="no-number"),
        pytest.param(lambda details: details.update(start_time="yesterday"), id="no-time"),
    ],
)
def test_a_beginning_that_no_run_writes_is_refused(dead: Home, change: Callable[[dict[str, Any]], object]):
    change_beginning(dead, change)
    done = dead.loader("--import")
    assert (done.returncode, "is not one that a run writes" in done.stderr) == (2, True), done.stderr
    assert done.stderr.count("\n") == 1
    assert dead.query("select count(*) from audit.fct_runs") == [(0,)]


def test_a_killed_run_whose_file_does_not_add_up_does_not_close(dead: Home):
    change_beginning(dead, lambda details: details.update(invalid_records=3))
    assert dead.loader("--import").returncode == 0
    assert dead.query("select closes from audit.fct_runs order by start_time") == [(False,), (True,)]


def test_a_run_that_another_one_has_closed_keeps_no_second_outcome(home: Home, posting: ForkServerProcess):
    """As an earlier version would close it, which does not look whether the process lives."""
    with duckdb.connect(str(home.database)) as connection:
        ((run_id,),) = connection.execute(
            "select distinct run_id from audit.fct_run_events where action = 'posting_started'"
        ).fetchall()
        connection.execute(
            "insert into audit.fct_import_records by name select *, 'unknown' as result from audit.fct_records "
            "anti join audit.fct_import_records using (run_id, record_number)".replace(
                "select *", "select fct_records.* exclude (status, exception_reason)"
            )
        )
        connection.execute("insert into audit.fct_runs by name select ? as run_id, 'import' as mode", [run_id])
    code, line = ended(posting, home)
    assert (code, f"run {run_id}" in line, "has an outcome already" in line) == (4, True, True), line
    twice = "select record_number from audit.fct_import_records group by run_id, record_number having count(*) > 1"
    assert home.query(twice) == []
    assert home.query("select count(*) from audit.fct_runs") == [(1,)]


def test_a_run_that_has_a_row_gets_no_second_one(home: Home, sandbox: Sandbox, posting: ForkServerProcess):
    with duckdb.connect(str(home.database)) as connection:
        connection.execute(
            "insert into audit.fct_runs by name select distinct run_id, 'import' as mode from audit.fct_run_events "
            "where action = 'posting_started'"
        )
    code, line = ended(posting, home)
    assert (code, "has a row in audit.fct_runs already" in line) == (4, True), line
    assert home.query("select count(*) from audit.fct_runs") == [(1,)]
    nothing_twice(home, sandbox)


def test_a_run_goes_on_with_one_whose_outcomes_an_earlier_version_kept_twice(home: Home, sandbox: Sandbox):
    assert home.loader("--import").returncode == 0
    home.query("insert into audit.fct_import_records select * from audit.fct_import_records")
    done = home.loader("--import", "--retry-failed")
    assert done.returncode == 0, done.stderr
    kept = "select count(*) from audit.fct_import_records where run_id = (select max(run_id) from audit.fct_runs)"
    assert home.query(kept) == [(5,)]
    assert len(sandbox.records()) == 5


def test_a_run_that_says_twice_that_it_began_to_post_is_closed_once(dead: Home):
    dead.query(f"insert into audit.fct_run_events select * from audit.fct_run_events {EVENT}")  # noqa: S608
    done = dead.loader("--import")
    assert (done.returncode, done.stderr.count("ended without finishing")) == (0, 1), done.stderr
    assert dead.query("select count(*) from audit.fct_runs") == [(2,)]
