"""Writes a file whole or not at all."""

import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from io import BufferedRandom
from pathlib import Path
from typing import TypeVar

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
PRIVATE_UMASK = _OTHERS


def tighten(path: Path) -> None:
    """Take away what others may do with a file or folder that an earlier version or another program has made.

    What is not ours, or not there, stays as it is, and so does a folder that others are to write to, as `/tmp`.
    """
    with suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS and not mode & stat.S_ISVTX:
            path.chmod(mode & ~_OTHERS)


def tighten_database(database: Path) -> None:
    """Tighten a DuckDB file, its log, and the files that we keep beside it."""
    for suffix in ("", ".wal", ".lock", ".seal", ".begun"):
        tighten(database.with_name(database.name + suffix))


def private_umask() -> int:
    """Let this process create files with mode 0600 and folders with 0700; return the umask that it had."""
    return os.umask(PRIVATE_UMASK)


Written = TypeVar("Written")


def write_file(path: Path, write: Callable[[BufferedRandom], Written]) -> Written:
    """Let `write` fill a temporary file, flush it to the disk and rename it, so that no reader sees half of it.

    Only its owner may read it. Returns what `write` returns; raises OSError where the folder or the disk fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    temporary = Path(name)
    with os.fdopen(descriptor, "w+b") as file:
        try:
            written = write(file)
            file.flush()
            os.fsync(file.fileno())
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
    return written
