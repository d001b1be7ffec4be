"""Runs the import as an operator would, again and again, while the plan has everything go wrong, until it is done."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from loader.config import ROOT
from rehearsal.evidence import ENTITY
from rehearsal.plan import Kill, Plan
from rehearsal.server import WINDOW, Server

# The repository's settings with every wait made short.
SETTINGS = {
    "backoff_seconds": 0.05,
    "backoff_max_seconds": 0.5,
    "connect_timeout_seconds": 2,
    "read_timeout_seconds": 2,
    "rate_limit_window_seconds": WINDOW,
}
# Usual seconds of a run from its start until it has posted for a while, with the build and without.
BUILD_SECONDS, START_SECONDS = 16.0, 5.0
OPENS_SECONDS = 60.0
POLL_SECONDS = 0.02
UNREACHABLE, STOPPED = 3, 4


@dataclass(frozen=True)
class Bounds:
    """When to give up: so many runs, so many seconds."""

    runs: int
    seconds: float


@dataclass
class RunRecord:
    """One start of the loader: how it was to be killed, how and when it ended, whether the file opens."""

    number: int
    with_source: bool
    planned_kill: str | None
    exit_code: int
    killed: bool
    started: float
    ended: float
    opens: bool


class Supervisor:
    """Starts, watches and kills the loader, and has the sandbox tended meanwhile."""

    def __init__(self, plan: Plan, folder: Path, server: Server, bounds: Bounds, say: Callable[[str], None]) -> None:
        self._folder, self._server, self._bounds, self._say = folder, server, bounds, say
        self._kills = list(plan.kills)
        self._rebuilds = plan.rebuilds
        self._draw = random.Random(f"{plan.seed} runs")  # noqa: S311 - repeatable, not secret
        self._give_up_at = time.time() + bounds.seconds
        self._records = len(plan.references)
        self.runs: list[RunRecord] = []

    def rehearse(self) -> bool:
        """Run until one run ends with 0; return False when the bounds are met before."""
        write_settings(self._folder / "etl.toml")
        with_source = True
        while len(self.runs) < self._bounds.runs and time.time() < self._give_up_at:
            run = self._run(with_source=with_source)
            self.runs.append(run)
            fate = "killed " + (run.planned_kill or "") if run.killed else f"ended with {run.exit_code}"
            self._say(
                f"run {run.number}{' --source' if with_source else ''}: {fate} after {run.ended - run.started:.1f} s; "
                f"{self._server.stored():,} of {self._records:,} records are on the server"
            )
            if run.exit_code == 0:
                return True
            with_source = self._next_with_source(run)
        return False

    def _next_with_source(self, run: RunRecord) -> bool:
        """Name the file again after a run that may have left no build to post; and sometimes for its own sake."""
        posted = "posting_started" in self._actions_since(run.started)
        resumable = run.exit_code in (1, UNREACHABLE, STOPPED)
        if not posted and (run.with_source or not (run.killed or resumable)):
            return True
        rebuild = self._rebuilds > 0 and self._draw.random() < 0.2  # noqa: PLR2004 - one in five
        self._rebuilds -= rebuild
        return rebuild

    def _run(self, *, with_source: bool) -> RunRecord:
        kill = self._kills[0] if self._kills else Kill()
        source = ["--source", str(self._folder / "records.csv")] if with_source else []
        command = [sys.executable, "-m", "loader", "--environment", "staging", "--import", *source]
        command += ["--entity-type", ENTITY, "--batch-size", str(max(10, self._records // 40))]
        number, started, seen = len(self.runs) + 1, time.time(), self._server.seen()
        usual = BUILD_SECONDS if with_source else START_SECONDS
        is_due = self._killing(kill, seen, started + kill.share * usual)
        with (self._folder / "logs" / f"run_{number:02d}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                command, cwd=ROOT, env=self._environment(kill), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
            self._watch(process, is_due)
        killed = process.returncode == -signal.SIGKILL
        if killed and self._kills:
            self._kills.pop(0)
        opens = not killed or opens_read_only(self._folder / "etl.duckdb")
        in_time = time.time() <= self._give_up_at
        planned = (str(kill) if in_time else "when its time was up") if killed else None
        return RunRecord(number, with_source, planned, process.returncode, killed, started, time.time(), opens)

    def _watch(self, process: subprocess.Popen[bytes], is_due: Callable[[], bool]) -> None:
        """Wait for the end of the process, and bring it about when it is due, and whatever happens here."""
        try:
            while process.poll() is None and not is_due() and time.time() <= self._give_up_at:
                time.sleep(POLL_SECONDS)
                self._server.tend()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _killing(self, kill: Kill, seen: int, moment: float) -> Callable[[], bool]:
        """Return whether the time of `kill` has come, where it is not the loader itself that gets there."""
        if kill.requests:
            return lambda: self._server.seen() >= seen + (kill.requests or 0)
        if kill.share:
            return lambda: time.time() >= moment
        return lambda: False

    def _environment(self, kill: Kill) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ETL_", "QGP_", "DBT_"))}
        own = {
            "ETL_DATABASE": str(self._folder / "etl.duckdb"),
            "ETL_OUTPUT_DIR": str(self._folder / "output"),
            "ETL_CONFIG": str(self._folder / "etl.toml"),
            "DBT_TARGET_PATH": str(self._folder.parent / "target"),
            "DBT_LOG_PATH": str(self._folder / "logs"),
            "QGP_STAGING_API_URL": self._server.url,
            "QGP_API_TOKEN": self._server.token,
        }
        return inherited | own | ({"ETL_KILL_AT": kill.label} if kill.label else {})

    def _actions_since(self, moment: float) -> set[str]:
        database = self._folder / "etl.duckdb"
        if not database.exists() or not opens_read_only(database):
            return set()
        with duckdb.connect(str(database), read_only=True) as connection:
            if not connection.execute("from duckdb_tables() where table_name = 'fct_run_events'").fetchall():
                return set()
            query = "select action from audit.fct_run_events where epoch(event_time) >= ?"
            return {action for (action,) in connection.execute(query, [moment]).fetchall()}


def write_settings(path: Path) -> None:
    """Write the repository's settings with the waits of a rehearsal; raises `RuntimeError` when one is not there."""
    text = (ROOT / "etl.toml").read_text(encoding="utf-8")
    for key, value in SETTINGS.items():
        text, replaced = re.subn(rf"(?m)^{key} = [\d.]+", f"{key} = {value}", text)
        if replaced != 1:
            raise RuntimeError(f"etl.toml: {key} stands there {replaced} times; once is needed")
    path.write_text(text, encoding="utf-8")


def opens_read_only(database: Path) -> bool:
    """Tell whether the database opens; a dbt whose loader was killed may hold it for some seconds more."""
    deadline = time.time() + OPENS_SECONDS
    while database.exists():
        try:
            with duckdb.connect(str(database), read_only=True) as connection:
                connection.execute("from duckdb_tables()").fetchall()
        except duckdb.IOException:
            if time.time() > deadline:
                return False
            time.sleep(0.2)
        except duckdb.Error:
            return False
        else:
            return True
    return True


def run_log(runs: Sequence[RunRecord]) -> list[dict[str, object]]:
    """Return the runs as they go into the receipt."""
    return [asdict(run) for run in runs]
