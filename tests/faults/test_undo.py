"""A checkpoint that is cut in the middle of what DuckDB writes in place: the database opens and holds every row."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from loader.errors import DatabaseLocked
from loader.storage.undo import undo_path
from loader.storage.warehouse import Warehouse
from tests.support import ROOT, Home

# Makes a checkpoint and dies: just before DuckDB writes it, or just after.
DIES = """
import os, signal, sys
from pathlib import Path
import duckdb
from loader.errors import DatabaseLocked
from loader.storage.undo import checkpoint

class Connection:
    def execute(self, query):
        if query == "checkpoint":
            if sys.argv[2] == "after":
                real.execute(query)
            os.kill(os.getpid(), signal.SIGKILL)
        return real.execute(query)

real = duckdb.connect(sys.argv[1])
checkpoint(Connection(), Path(sys.argv[1]), os.open(sys.argv[1], os.O_RDONLY))
"""
HOLDS = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
HEADERS, BLOCK, TABLES, ROWS = 3 * 4096, 262_144, 20, 500


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a database with rows in its file and as many in its log."""
    path = tmp_path / "a" / "etl.duckdb"
    path.parent.mkdir()
    with duckdb.connect(str(path)) as connection:
        for number in range(TABLES):
            connection.execute(f"create table t{number} as select range as id, 'x' || range as text from range({ROWS})")  # noqa: S608 - our own text
    warehouse = Warehouse(path, 1, print)
    with warehouse.locked():
        for number in range(TABLES):
            with warehouse.connection() as connection:
                connection.execute(f"insert into t{number} select range, 'y' || range from range({ROWS})")  # noqa: S608 - our own text
        shutil.copytree(path.parent, tmp_path / "with_log")
    shutil.rmtree(path.parent)
    (tmp_path / "with_log").rename(path.parent)
    return path


def dies(database: Path, when: str) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, str(database), when], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL


def counted(database: Path) -> list[int]:
    counts = [f"select count(*) as rows from t{number}" for number in range(TABLES)]  # noqa: S608
    return [row["rows"] for row in Warehouse(database, 1, print).rows(" union all ".join(counts))]


def checkpointed(database: Path) -> bytes:
    """Return what the file would be after its checkpoint."""
    copy = Path(shutil.copytree(database.parent, database.parent.with_name("copy"))) / database.name
    Warehouse(copy, 1, print).checkpoint()
    return copy.read_bytes()


def tear(database: Path) -> int:
    """Write half of each block that a checkpoint writes in place, as a kill within it does; return their number."""
    with duckdb.connect(str(database), read_only=True) as connection:
        blocks = [block for (block,) in connection.execute("select block_id from pragma_metadata_info()").fetchall()]
    after, torn = checkpointed(database), 0
    with database.open("r+b") as file:
        for start in (HEADERS + block * BLOCK for block in blocks):
            file.seek(start)
            if after[start : start + BLOCK] != file.read(BLOCK):
                file.seek(start)
                file.write(after[start : start + BLOCK // 2])
                torn += 1
    return torn


def test_a_kill_within_a_write_in_place_harms_nothing(database: Path):
    dies(database, "before")
    undo = undo_path(database).read_bytes()
    undo_path(database).unlink()
    assert tear(database)
    with pytest.raises(duckdb.IOException, match="Corrupt database file"):
        duckdb.connect(str(database))
    undo_path(database).write_bytes(undo)
    assert counted(database) == [2 * ROWS] * TABLES
    assert not undo_path(database).exists()


def test_a_checkpoint_that_ended_is_not_undone(database: Path):
    dies(database, "after")
    ended = database.read_bytes()
    assert undo_path(database).exists()
    assert counted(database) == [2 * ROWS] * TABLES
    assert database.read_bytes() == ended
    assert not undo_path(database).exists()


def test_nothing_is_put_back_while_somebody_has_the_database_open(database: Path):
    dies(database, "before")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(DatabaseLocked, match=f"process {holder.pid}"):
            counted(database)
        assert undo_path(database).exists()
    finally:
        holder.communicate("")
    assert counted(database) == [2 * ROWS] * TABLES


@pytest.mark.dbt
def test_dbt_takes_its_log_into_the_database_when_it_ends(home: Home):
    assert home.dbt("build", "-q", "--select", "dim_entities").returncode == 0
    assert [path.name for path in home.folder.glob("etl.duckdb.*") if path.suffix in (".wal", ".undo")] == []
