"""What the commands write holds people's records: it is for its owner alone, whatever the umask of the shell."""

import os
import stat
from contextlib import suppress
from pathlib import Path

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
