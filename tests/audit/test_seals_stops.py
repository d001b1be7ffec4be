"""Seals when things go wrong: a kill, a log that was cut, a damaged file, an old copy that was put back."""

import shutil
import subprocess
import sys

import pytest

from loader.audit.seals import anchor_path, read_anchor, write_anchor
from tests.forked import killed
from tests.history import sealed, verified
from tests.support import ROOT, Home

# Seals one more run while its log is not yet written into the database, notes it, and dies.
DIES = """
import os, signal, sys
from pathlib import Path
import duckdb
from loader.audit.seals import Anchor, seal_finished, write_anchor
connection = duckdb.connect(sys.argv[1])
connection.execute("pragma disable_checkpoint_on_shutdown")
connection.execute("begin")
connection.execute(
    "insert into audit.fct_run_events by name select * replace ('20990101T000000Z-000000' as run_id, "
    "timestamp '2099-01-01' as event_time) from audit.fct_run_events where action = 'run_started' limit 1"
)
seal = seal_finished(connection, print)
connection.execute("commit")
write_anchor(Path(sys.argv[1]), Anchor(seal.number, seal.seal))
os.kill(os.getpid(), signal.SIGKILL)
"""
LAST = "select number from audit.fct_seals order by number desc limit 1"


def test_an_old_copy_put_back_is_found_and_the_next_run_does_not_hide_it(trail: Home):
    old = trail.folder / "old.duckdb"
    shutil.copy(trail.database, old)
    ((number, *_),) = trail.query(LAST)
    assert trail.loader("--validate-only").returncode == 0
    shutil.copy(old, trail.database)
    noted = read_anchor(trail.database)
    assert verified(trail)[0].what.startswith(f"seals {number + 1} to {number + 1} are missing")
    done = trail.loader("--validate-only")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert "lacks the seal noted beside it" in done.stderr
    assert read_anchor(trail.database) == noted
    assert verified(trail)[0].what == f"seal {number + 1} is not the one that was noted beside the database"


def test_a_lost_note_is_named_and_written_by_the_next_run(trail: Home):
    anchor_path(trail.database).write_text("{}")
    assert "is not the one that was noted" in verified(trail)[0].what
    anchor_path(trail.database).unlink()
    assert "the file that notes the last seal is missing" in verified(trail)[0].what
    sealed(trail)
    assert verified(trail) == []


@pytest.mark.parametrize("cut", ["half of it", "all of it", "nothing"])
def test_a_log_that_was_cut_is_found(trail: Home, cut: str):
    ((number, *_),) = trail.query(LAST)
    subprocess.run([sys.executable, "-c", DIES, str(trail.database)], cwd=ROOT, check=False)
    log = trail.database.with_name("etl.duckdb.wal")
    size = log.stat().st_size
    if cut == "half of it":
        with log.open("r+b") as file:
            file.truncate(size // 2)
    elif cut == "all of it":
        log.unlink()
    done = trail.loader("audit-verify")
    assert "Traceback" not in done.stderr
    if cut == "nothing":
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        assert done.returncode == 1
        assert f"NOT PROVEN seals {number + 1} to {number + 1} are missing" in done.stdout


def test_a_damaged_database_is_one_line(trail: Home):
    with trail.database.open("r+b") as file:
        file.truncate(trail.database.stat().st_size // 2)
    done = trail.loader("audit-verify")
    assert done.returncode == 2
    (error,) = done.stderr.splitlines()
    assert error.startswith(f"error: {trail.database}: is damaged (")


def test_a_kill_before_the_seal_leaves_what_the_next_run_seals(trail: Home):
    ((number, *_),) = trail.query(LAST)
    killed(trail, "before:seal", "--environment", "staging")
    waiting = trail.loader("audit-verify")
    assert waiting.returncode == 0, waiting.stdout
    assert "not sealed yet, the next run does it: 1 run" in waiting.stdout
    killed(trail, "after:commit_intents", "--environment", "staging")
    unfinished = trail.loader("audit-verify")
    assert unfinished.returncode == 0, unfinished.stdout
    assert "unfinished, the next import closes and seals it: 1 run" in unfinished.stdout
    assert trail.loader("--import").returncode == 0
    assert trail.query(LAST)[0][0] == number + 3
    assert verified(trail) == []


def test_a_kill_between_the_seal_and_its_note_is_nothing(trail: Home):
    noted = read_anchor(trail.database)
    moment = "now() at time zone 'UTC' - interval 10 minute"
    trail.query(f"insert into audit.fct_probe_checks by name select 'p' as run_id, {moment} as checked_at")
    sealed(trail)
    assert noted is not None
    write_anchor(trail.database, noted)
    assert verified(trail) == []


def test_a_database_without_seals_proves_nothing(trail: Home):
    trail.query("delete from audit.fct_seals")
    anchor_path(trail.database).unlink()
    done = trail.loader("audit-verify")
    assert done.returncode == 1
    assert done.stdout.startswith("NOT PROVEN nothing is sealed yet: the next run seals what is there\n")
    trail.query("drop table audit.fct_seals")
    older = trail.loader("audit-verify")
    assert (older.returncode, older.stderr.splitlines()[-1].split(": ", 2)[-1]) == (
        2,
        "a table is missing; run: dbt build",
    )
    run = trail.loader("--validate-only")
    assert run.returncode == 0
    assert "this run is not sealed, the next one seals it: " in run.stderr
