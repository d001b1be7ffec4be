"""The only module that imports duckdb. The file is held for one transaction at a time, so that others can query it."""

import errno
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import duckdb

from loader.errors import DatabaseLocked, EtlError, GateClosed, Refused, StoppedEarly
from loader.storage.files import tighten_database
from loader.storage.lock import Lock, refuse_other_names, run_lock
from loader.storage.undo import checkpoint, roll_back

ATTACHED = "attached_file"
_TABLES = "select table_name from duckdb_tables() where database_name = ? and schema_name = 'audit'"
_SHADOWING = """
    select distinct function_name from duckdb_functions()
    where database_name = ? and schema_name = 'main' and not internal
        and function_name in (select function_name from duckdb_functions() where internal)
    order by all
"""


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def time_zone(name: str) -> str | None:
    """Return a time zone as DuckDB spells it, which has the zones of IANA built in; None where there is no such one."""
    query = "select name from pg_timezone_names() where lower(name) = lower(?) and name not like 'Etc/GMT_%'"
    with duckdb.connect() as connection:
        found = connection.execute(query, [name]).fetchone()
    return str(found[0]) if found else None


def attached(connection: Any, path: Path) -> Any:
    """Attach a DuckDB file, for reading alone, to a database in memory, and show the tables of its schema `audit`."""
    connection.execute(f"set temp_directory = {literal(f'{path}.tmp')}")
    connection.execute(f"attach {literal(str(path))} as {ATTACHED} (read_only)")
    connection.execute("create schema audit")
    for (table,) in connection.execute(_TABLES, [ATTACHED]).fetchall():
        name = quoted(table)
        connection.execute(f"create view audit.{name} as select *, rowid from {ATTACHED}.audit.{name}")  # noqa: S608
    return connection


def shadowing(connection: Any) -> list[str]:
    """Return the functions of the attached file that are named as one of DuckDB's own."""
    return [name for (name,) in connection.execute(_SHADOWING, [ATTACHED]).fetchall()]


_HELD = re.compile(r"Conflicting lock is held in .*?PID (\d+)", re.DOTALL)
_WRITE_FAILED = re.compile(r'Could not write file \\?"[^"]*": ([^"]+)')
_POLL_SECONDS = 0.1
# DuckDB's memory, in our processes and in dbt's: what does not fit goes to the disk. A process takes 300 MB besides.
MEMORY_LIMIT = "600MB"
# From this size on the log is taken into the file during a run too, as DuckDB does it: whoever opens it reads it all.
_LOG_BYTES = 16_000_000
# Nobody but `checkpoint` takes the log into the file: DuckDB does it with each close otherwise, 15 times in a run.
LEAVE_THE_LOG = "set checkpoint_threshold = '1TB'; pragma disable_checkpoint_on_shutdown"
# What `in_bulk` made of many values, in SQL.
TEXTS, NUMBERS = """from_json(?, '["varchar"]')""", """from_json(?, '["bigint"]')"""
_BATCH_ROWS = 1_000
# Out of memory: what does not fit could not be moved to the disk either.
_DISK_FAILS = (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException, duckdb.OutOfMemoryException)
Row = dict[str, Any]
# By position, or by name.
Parameters = Sequence[Any] | dict[str, Any]


class Warehouse:
    """One DuckDB file. Unless it is `held`, every method opens it, does one thing in one transaction and closes it.

    All methods raise DatabaseLocked when another process holds the file longer than `lock_wait_seconds`, Refused when
    the file is not a DuckDB database, cannot be opened or has two names, GateClosed when there is no file or dbt has
    not built a table of the query or one of its columns, and StoppedEarly when its disk fails or is full, or, while
    `locked`, when the lock or the file is not the one any more that the run began with.
    """

    def __init__(self, path: Path, lock_wait_seconds: float, notify: Callable[[str], None]) -> None:
        self.path = path
        self._wait = lock_wait_seconds
        self._notify = notify
        self._lock: Lock | None = None
        self._held: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run lock, or raise as `run_lock` says; it is looked at before each opening and commit meanwhile."""
        with run_lock(self.path, self._wait, self._notify) as lock:
            self._lock = lock
            try:
                yield
                self.checkpoint()
            finally:
                self._lock = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the file open for many small transactions: to open and close it takes 40 ms."""
        if self._held:
            yield
            return
        self._held = self._connect(lambda: _opened(self.path))
        try:
            yield
        finally:
            self._held.close()
            self._held = None
        self._shorten_log()

    def _shorten_log(self) -> None:
        log = self.path.with_name(self.path.name + ".wal")
        if not self._lock or (log.exists() and log.stat().st_size > _LOG_BYTES):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Take the log into the file; where somebody else holds the file, the log stays beside it."""
        failing = suppress(OSError, duckdb.Error)
        with _signals(), failing, self.path.open("rb") as file, _opened(self.path) as connection:
            checkpoint(connection, self.path, file.fileno())

    @contextmanager
    def connection(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection inside a transaction: committed at the end, rolled back on an exception."""
        held = self._held
        with self._transaction(held.cursor if held else lambda: _opened(self.path, read_only=read_only)) as connection:
            yield connection
        if not (held or read_only):
            self._shorten_log()

    def apart(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Yield a connection to a database in memory that reads the tables of `audit`, as `attached` says."""
        return self._transaction(lambda: attached(_opened(), self.path))

    @contextmanager
    def _transaction(self, opened: Callable[[], duckdb.DuckDBPyConnection]) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._connect(opened)
        try:
            with _signals():
                connection.execute("set timezone = 'UTC'")
                connection.execute("begin")
                yield connection
                if self._lock:
                    self._lock.check()
                connection.execute("commit")
        except duckdb.Error as error:
            if failure := _failure(self.path, error):
                raise failure from error
            raise
        finally:
            connection.close()

    def rows(self, query: str, parameters: Parameters = ()) -> list[Row]:
        """Return the rows of a query as dictionaries."""
        with self.connection(read_only=True) as connection:
            return fetch(connection, query, parameters)

    def tuples(self, query: str, parameters: Parameters = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query one by one; the file is held until the last one is taken."""
        with self.connection(read_only=True) as connection:
            result = connection.execute(query, parameters)
            while batch := result.fetchmany(_BATCH_ROWS):
                yield from batch

    def json_texts(self, query: str, parameters: dict[str, Any]) -> Iterator[list[str]]:
        """Yield every row of a query as a JSON object, in batches; the file is held until the last one is taken."""
        with self.connection(read_only=True) as connection:
            entries = f"select to_json(entry)::varchar from ({query}) as entry"  # noqa: S608 - our own text
            result = connection.execute(entries, parameters)
            while batch := result.fetchmany(_BATCH_ROWS):
                yield [text for (text,) in batch]

    def insert(self, table: str, rows: Sequence[Row]) -> None:
        """Append rows to an audit table by column name, all or none; every row has the same keys."""
        if rows:
            with self.connection() as connection:
                insert(connection, table, rows)

    def wait_until_free(self) -> None:
        """Wait until no other process holds the file."""
        if self.path.exists():
            self._connect(lambda: _opened(self.path)).close()

    def _connect(self, opened: Callable[[], duckdb.DuckDBPyConnection]) -> duckdb.DuckDBPyConnection:
        if self._lock:
            self._lock.check()
        else:
            refuse_other_names(self.path)
        tighten_database(self.path)
        roll_back(self.path)
        deadline, told = time.monotonic() + self._wait, False
        if not self.path.exists():
            raise GateClosed(f"{self.path}: there is no database yet; run: dbt build")
        while True:
            try:
                with _signals():
                    return opened()
            except duckdb.Error as error:
                holder = holder_of(str(error))
                if holder is None:
                    raise _refusal(self.path, error) from error
                if time.monotonic() >= deadline:
                    raise DatabaseLocked(
                        f"{self.path}: held by {holder} for over {self._wait:g} s; "
                        "end or wait for it, then run the same command again"
                    ) from error
                if not told:
                    self._notify(f"{self.path}: held by {holder}, waiting up to {self._wait:g} s")
                    told = True
            time.sleep(_POLL_SECONDS)


def holder_of(message: str) -> str | None:
    """Return who holds a database that DuckDB could not open, by its message; None where it failed for another reason.

    Process 0 is one that cannot be seen from here, or one that has let go by the time that DuckDB asks for its number.
    """
    held = _HELD.search(message)
    if held is None:
        return None
    return "another process" if held[1] == "0" else f"process {held[1]}"


def _opened(path: Path | str = ":memory:", *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(str(path), read_only=read_only, config={"memory_limit": MEMORY_LIMIT})
    return connection.execute(LEAVE_THE_LOG)


def take_in_log(connection: duckdb.DuckDBPyConnection, database: Path) -> None:
    """Make the last checkpoint of a process that ends; where the disk fails, the log stays beside the database."""
    with suppress(OSError, duckdb.Error):
        checkpoint(connection, database, os.open(database, os.O_RDONLY | os.O_CLOEXEC))


def _failure(path: Path, error: duckdb.Error) -> EtlError | None:
    """Return the expected failure that an error of a transaction is; None for one of ours."""
    if _is_damaged(error):
        return _refusal(path, error)
    if isinstance(error, duckdb.CatalogException):
        return GateClosed(f"{path}: a table is missing; run: dbt build")
    if isinstance(error, duckdb.BinderException):
        return GateClosed(f"{path}: the tables are of another version; run: dbt build")
    if not isinstance(error, _DISK_FAILS):
        return None
    return StoppedEarly(
        f"{path}: cannot be read or written ({_reason(error)}); what was committed stands: "
        "free its disk, then run the same command again"
    )


@contextmanager
def _signals() -> Iterator[None]:
    """Raise what a signal has raised within a query, in whose place DuckDB raises an error of its own."""
    try:
        yield
    except RuntimeError as error:
        raise error.__cause__ or error from None


def _refusal(path: Path, error: duckdb.Error) -> Refused:
    what, fix = "cannot be opened", "check its permissions and its disk"
    if _is_damaged(error):
        what, fix = "is damaged", "keep it as it is, and put a good copy and its .seal in its place"
    elif any(words in str(error) for words in ("not a valid DuckDB", "newer version of DuckDB")):
        fix = "correct ETL_DATABASE or move the file away"
    return Refused(f"{path}: {what} ({_reason(error)}); {fix}")


def _is_damaged(error: duckdb.Error) -> bool:
    """Tell a file that was cut or changed as bytes; DuckDB has no class of its own for that."""
    return any(words in str(error) for words in ("Could not read enough bytes", "Corrupt ", "replaying WAL"))


def _reason(error: duckdb.Error) -> str:
    return str(error).splitlines()[0].removeprefix("TransactionContext Error: ").removesuffix(".")


def fetch(connection: duckdb.DuckDBPyConnection, query: str, parameters: Parameters = ()) -> list[Row]:
    """Return the rows of a query as dictionaries, on a connection that is open already."""
    result = connection.execute(query, parameters)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    """Append rows to an audit table by column name, on a connection that is open already.

    Each value is read as text and cast by the insert, so that one which is not of its column's type is an error.
    """
    texts = json.dumps([dict.fromkeys(set().union(*rows), "varchar")])
    query = f"insert into audit.{table} by name select unnest(from_json(?, '{texts}'), recursive := true)"
    connection.execute(query, [in_bulk(rows)])


def in_bulk(values: Sequence[Any]) -> str:
    """Return many values as the one text that `from_json` reads.

    DuckDB looks for pandas at every Python value of a parameter, each time anew where it is not installed: 500 rows
    took 340 ms, and 5 ms as one text. A lone surrogate, which no database can hold, becomes a question mark.
    """
    return json.dumps(list(values), default=str, ensure_ascii=False).encode(errors="replace").decode()


def copy_csv(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any], file: BinaryIO, *, quote_all: bool
) -> int:
    """Replace the contents of an opened file with the rows of a query as CSV without a header; return their number.

    The columns are texts without nulls. A table of one column needs `quote_all`: an empty cell is no blank line then.
    Raises OSError where the disk does not take it.
    """
    options = "format csv, header false, nullstr '\x01no such text\x01', compression none"
    return copy_rows(connection, query, parameters, file, options + (", force_quote *" if quote_all else ""))


def copy_rows(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any], file: BinaryIO, options: str
) -> int:
    """Replace the contents of an opened file with the rows of a query in a format of DuckDB's; return their number.

    The file is named by its descriptor, so that no path is ever part of SQL. Raises OSError as `copy_csv`.
    """
    target = f"'/dev/fd/{file.fileno()}' ({options}, use_tmp_file false)"
    try:
        copied = connection.execute(f"copy ({query}) to {target}", list(parameters))
        return int(copied.fetchall()[0][0])
    except duckdb.IOException as error:
        failed = _WRITE_FAILED.search(str(error))
        raise OSError(errno.EIO, failed[1] if failed else str(error).splitlines()[0]) from error
