"""What DuckDB writes in place, kept beside the database, so that a kill in the middle of it harms nothing.

At a checkpoint DuckDB writes what the log holds into new blocks and then, at once, a new header, so that the file is
the old or the new one. Blocks of metadata are the exception: those with room left are written in place, 256 kB each,
while the old header still needs them. A kill -9 within such a write leaves a block that is half old and half new, and a
database that nobody can open. So they are kept, with the headers that need them, until the new header stands.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

# The main header and two of which the newer holds: 4096 bytes each. Blocks follow, counted from 0.
# https://duckdb.org/docs/stable/internals/storage
_HEADERS = 3 * 4096
_NUMBER_BYTES = 8
_METADATA = "select block_id from pragma_metadata_info()"
_BLOCK_BYTES = "select block_size from pragma_database_size() where database_name = current_database()"


def undo_path(database: Path) -> Path:
    """Return the file that holds what the next checkpoint of a database may write in place."""
    return database.with_name(database.name + ".undo")


def checkpoint(connection: Any, database: Path, descriptor: int) -> None:
    """Take the log into the database, on a connection without an open transaction.

    `descriptor` is one of the database, to read by. Close it after the connection: the first one that a process closes
    frees what DuckDB has locked of the file. Raises OSError where the disk does not take the undo file, and an error of
    DuckDB's where it does not take the log; what was committed stands in both.
    """
    _keep(connection, undo_path(database), descriptor)
    connection.execute("checkpoint")
    undo_path(database).unlink()


def _keep(connection: Any, path: Path, descriptor: int) -> None:
    """Write the undo file: the headers, the size of a block, and each block of metadata after its number."""
    (size,) = connection.execute(_BLOCK_BYTES).fetchone()
    parts = [os.pread(descriptor, _HEADERS, 0), _number(size)]
    for (block,) in connection.execute(_METADATA).fetchall():
        parts += [_number(block), os.pread(descriptor, size, _HEADERS + block * size)]
    unfinished = path.with_name(path.name + ".new")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def roll_back(database: Path) -> None:
    """Put back what an unfinished checkpoint has written in place, and remove the undo file.

    Nothing is put back where the headers are others: that checkpoint ended, or it is another database. Nothing is done
    while somebody has the database open, who did this first, or where it cannot be written: DuckDB says so then.
    """
    path = undo_path(database)
    if not path.exists():
        return
    with suppress(OSError), database.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        kept = path.read_bytes()
        if file.read(_HEADERS) == kept[:_HEADERS]:
            _put_back(file.fileno(), kept[_HEADERS:])
            os.fsync(file.fileno())
        path.unlink()


def _put_back(descriptor: int, kept: bytes) -> None:
    size = int.from_bytes(kept[:_NUMBER_BYTES], "little")
    for start in range(_NUMBER_BYTES, len(kept), _NUMBER_BYTES + size):
        block = int.from_bytes(kept[start : start + _NUMBER_BYTES], "little")
        content = kept[start + _NUMBER_BYTES : start + _NUMBER_BYTES + size]
        os.pwrite(descriptor, content, _HEADERS + block * size)


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER_BYTES, "little")
