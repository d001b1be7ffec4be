"""Audit trails to tamper with and to grow old: a few runs of every kind, sealed, in a copy of its own for each test.

`conftest.py` takes the fixtures from here.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loader.audit.digests import OPEN_RUN, RUN, Subject, subjects
from loader.audit.journal import now
from loader.audit.proof import Problem, problems, read_trail
from loader.audit.retention import Plan, plan, remove, remove_files
from loader.audit.seals import Anchor, anchor_path, chain, read_anchor, seal_audit, write_anchor
from loader.storage.warehouse import Warehouse, insert
from sandbox.process import Sandbox
from tests.forked import killed
from tests.support import Home, new_home
from tests.warm import running_sandbox

TIMES = ("DATE", "TIMESTAMP")
# Takes a name and what fills a folder; returns the folder of that name, filled once for all workers.
Once = Callable[[str, Callable[[Path], None]], Path]


@contextmanager
def lived(folder: Path, built: Path, happen: Callable[[Home], None]) -> Iterator[Home]:
    """Yield a home to which `happen` has happened; its sandbox is still running.

    Before that its API was probed ten minutes ago, long enough for a seal.
    """
    folder.mkdir(exist_ok=True)
    with running_sandbox(folder / "sandbox.sqlite", "--environment", "staging") as sandbox:
        home = new_home(folder / "home", built, **access(sandbox))
        assert home.probe("staging").returncode == 0
        home.query("update audit.fct_probe_checks set checked_at = checked_at - interval 10 minute")
        happen(home)
        yield home


def access(sandbox: Sandbox) -> dict[str, str]:
    return {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token()}


@pytest.fixture(scope="session")
def sealed_history(once: Once, workplace: Path, built: Path) -> Iterator[Home]:
    """Return a home after a probe, an import, a refused run and a dry-run, whose sandbox is still running."""

    def happen(home: Home) -> None:
        assert home.loader("--import", "--verify").returncode == 0
        assert home.loader("--import", QGP_API_TOKEN="refused").returncode == 3  # noqa: S106 - no token of anything
        assert home.loader("--dry-run").returncode == 0

    def make(folder: Path) -> None:
        with lived(folder, built, happen):
            pass

    # The sandbox of each worker is a copy of theirs, at an address of its own.
    folder, database = once("sealed_history", make), workplace / "sealed_history.sqlite"
    shutil.copy(folder / "sandbox.sqlite", database)
    with running_sandbox(database, "--environment", "staging") as sandbox:
        yield Home(folder / "home", access(sandbox))


@pytest.fixture
def trail(sealed_history: Home, workplace: Path, request: pytest.FixtureRequest) -> Home:
    """Return a copy of that home."""
    return copied(sealed_history, workplace / f"seals_{request.node.name}".replace("[", "_")[:90])


@pytest.fixture(scope="session")
def long_history(workplace: Path, built: Path) -> Iterator[Home]:
    """Return a home after a probe and three imports of the same file, the last of them killed while it posted."""

    def happen(home: Home) -> None:
        assert home.loader("--import").returncode == 0
        assert home.loader("--import").returncode == 0
        killed(home, "before:commit_outcomes", "--environment", "staging")

    with lived(workplace / "long_history", built, happen) as home:
        yield home


@pytest.fixture
def old(long_history: Home, workplace: Path, request: pytest.FixtureRequest) -> Home:
    """Return a copy of that home, with report files of its own."""
    home = copied(long_history, workplace / f"prune_{request.node.name}"[:90])
    shutil.copytree(long_history.output, home.output)
    moved = (str(long_history.output), str(home.output))
    home.query("update audit.fct_output_files set path = replace(path, ?, ?)", *moved)
    return home


def copied(home: Home, folder: Path) -> Home:
    """Return a home with a copy of another one's database, its log and its note; output files stay where they are."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copy = Home(folder, dict(home.environment))
    copy.settings()
    for path in (home.database, home.database.with_name("etl.duckdb.wal"), anchor_path(home.database)):
        if path.exists():
            shutil.copy(path, folder / path.name)
    return copy


def found_problems(connection: Any, database: Path) -> list[Problem]:
    """Return what is not as it was sealed, as `audit-verify` finds it, on an open connection."""
    return list(problems(read_trail(lambda: nullcontext(connection), read_anchor(database))))


def verified(home: Home) -> list[Problem]:
    apart = Warehouse(home.database, 1, print).apart
    return list(problems(read_trail(apart, read_anchor(home.database))))


def sealed(home: Home) -> None:
    seal_audit(Warehouse(home.database, 1, print), print)


def audit_columns(connection: Any) -> list[tuple[str, str, str]]:
    """Return table, column and type of every column of the audit tables that have rows."""
    found = connection.execute(
        "select table_name, column_name, data_type from duckdb_columns() "
        "where schema_name = 'audit' and table_name like 'fct%' order by all"
    ).fetchall()
    held = {table for table in {table for table, *_ in found} if _count(connection, table)}
    return [entry for entry in found if entry[0] in held]


def aged(home: Home, days: Callable[[str], int]) -> None:
    """Let every run and invocation have happened so many days earlier, and seal them anew as if they had."""
    anchor_path(home.database).unlink(missing_ok=True)
    with duckdb.connect(str(home.database)) as connection:
        connection.execute("delete from audit.fct_seals")
        columns = audit_columns(connection)
        for table in sorted({table for table, *_ in columns}):
            names = {name for of, name, _ in columns if of == table}
            key = next(name for name in ("run_id", "invocation_id", "receipt_id") if name in names)
            for (subject,) in connection.execute(f"select distinct {key} from audit.{table}").fetchall():  # noqa: S608
                moved = [
                    f"{name} = {name} - interval {days(subject)} day"
                    for of, name, kind in columns
                    if of == table and kind in TIMES
                ]
                if moved:
                    connection.execute(f"update audit.{table} set {', '.join(moved)} where {key} = ?", [subject])  # noqa: S608
    sealed(home)
    _seal_at_their_end(home)


def _seal_at_their_end(home: Home) -> None:
    with duckdb.connect(str(home.database)) as connection:
        seals, states = chain(connection), subjects(connection)
        connection.execute("delete from audit.fct_seals")
        last = ""
        for seal in seals:
            ended = states[Subject(RUN if seal.kind == OPEN_RUN else seal.kind, seal.subject_id)]["ended"]
            moved = replace(seal, sealed_at=ended, previous_seal=last)
            last = moved.computed()
            insert(connection, "fct_seals", [asdict(replace(moved, seal=last))])
    write_anchor(home.database, Anchor(len(seals), last))


def _count(connection: Any, table: str) -> int:
    found = connection.execute(f"select count(*) from audit.{table}").fetchall()  # noqa: S608
    return int(found[0][0])


def runs(home: Home) -> list[str]:
    """Return the ids of the probe and the three imports, in the order of time."""
    return [run for (run,) in home.query("select distinct run_id from audit.fct_probe_checks order by 1")]


def ages(**of: int) -> Callable[[str], int]:
    return lambda subject: of.get(subject, 0)


def planned(home: Home, moment: datetime | None = None) -> Plan:
    with duckdb.connect(str(home.database), read_only=True) as connection:
        return plan(connection, moment or now(), 90)


def pruned(home: Home, moment: datetime) -> Plan:
    """Remove what is older than 90 days at a moment."""
    warehouse = Warehouse(home.database, 1, print)
    found, *_ = remove(warehouse, moment, 90, print)
    assert remove_files(warehouse) == []
    return found
