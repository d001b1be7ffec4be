"""One run at a time per database: a lock file beside it, held by the running process, naming it."""

import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from loader.errors import DatabaseLocked, Refused, StoppedEarly

_POLL_SECONDS = 0.1
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class Lock:
    """The lock that a run holds: the lock file, and the database that it is for, each kept open.

    A file that is kept open keeps its inode number, which is otherwise given to the next file. Nothing is read from the
    database: it is closed with the lock, because the first descriptor that a process closes frees what DuckDB has
    locked of the file.
    """

    def __init__(self, database: Path, descriptor: int) -> None:
        self._database = database
        self._descriptors = {lock_path(database): descriptor}
        self._keep_open()

    def check(self) -> None:
        """Raise StoppedEarly where one of both was removed or replaced since the run began: another may have begun.

        A database that was not there is the one that the run's dbt has made.
        """
        for path, descriptor in self._descriptors.items():
            if not _is_at(path, descriptor):
                raise StoppedEarly(
                    f"{path}: was removed or replaced during this run, which writes nothing more; "
                    "what was committed stands: run the same command again"
                )
        self._keep_open()

    def close(self) -> None:
        """Free it."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)

    def _keep_open(self) -> None:
        # What cannot be opened, or is no file, DuckDB refuses in its own words.
        if self._database not in self._descriptors:
            with suppress(OSError):
                self._descriptors[self._database] = os.open(self._database, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


@contextmanager
def run_lock(database: Path, wait_seconds: float, notify: Callable[[str], None]) -> Iterator[Lock]:
    """Hold the lock of `database` for the run; the kernel frees it when the process ends, however it ends.

    `database` is the resolved path: other names of the file would have other lock files, and DuckDB other logs.

    Raises:
        DatabaseLocked: another run holds it longer than `wait_seconds`; names its process.
        Refused: the folder of the database cannot be written, or its file has other names.
        StoppedEarly: its disk is full.

    """
    refuse_other_names(database)
    descriptor = _acquired(database, wait_seconds, notify)
    lock = Lock(database, descriptor)
    try:
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise StoppedEarly(
                f"{lock_path(database)}: cannot be written ({error.strerror}); free the disk, "
                "then run the same command again"
            ) from error
        yield lock
    finally:
        lock.close()


def lock_path(database: Path) -> Path:
    """Return the lock file of a database."""
    return database.with_name(database.name + ".lock")


def refuse_other_names(database: Path) -> None:
    """Raise Refused for a file that has another name too: a run by that one would see neither this lock nor the log.

    A folder that is mounted elsewhere is no harm: lock and log are in it.
    """
    try:
        status = database.stat()
    except OSError:
        # It is not there yet, or DuckDB says what is wrong with it.
        return
    if not stat.S_ISREG(status.st_mode):
        return
    if status.st_nlink > 1:
        raise Refused(
            f"{database}: has {status.st_nlink} names (hard links), and runs by two of them would not see each other; "
            "remove the other one, or make it a copy (cp)"
        )
    if os.fsencode(database) in _mount_points():
        raise Refused(
            f"{database}: is mounted by itself, without the lock and the log beside it; mount its folder in its place"
        )


def running_process(database: Path) -> int | None:
    """Return the process id of the run that is under way on `database`; None when there is none."""
    try:
        descriptor = os.open(lock_path(database), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(descriptor, 20, 0).decode() or 0) or None
    finally:
        os.close(descriptor)
    return None


def _mount_points() -> list[bytes]:
    """Return where something is mounted, field 5 of `man 5 proc_pid_mountinfo`; only Linux mounts a single file."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return []
    return [_ESCAPED.sub(lambda octal: bytes([int(octal[1], 8)]), line.split()[4]) for line in lines]


def _acquired(database: Path, wait_seconds: float, notify: Callable[[str], None]) -> int:
    """Return a descriptor of the lock file, locked; the file is opened each time, because it may have been replaced."""
    path, deadline, told = lock_path(database), time.monotonic() + wait_seconds, False
    while True:
        descriptor, is_locked = _tried(path)
        if is_locked and _is_at(path, descriptor):
            return descriptor
        holder = os.pread(descriptor, 20, 0).decode() or "unknown"
        os.close(descriptor)
        if time.monotonic() >= deadline:
            raise DatabaseLocked(
                f"{database}: another run (process {holder}) is under way for over {wait_seconds:g} s; "
                "wait for it, then run the same command again"
            )
        if not told:
            notify(f"another run (process {holder}) is under way on {database}, waiting up to {wait_seconds:g} s")
            told = True
        time.sleep(_POLL_SECONDS)


def _tried(path: Path) -> tuple[int, bool]:
    """Return a descriptor of the lock file, and whether it could be locked."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(f"{path}: cannot be written ({error.strerror}); correct ETL_DATABASE") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return descriptor, False
    except OSError as error:
        raise Refused(f"{path}: cannot be locked ({error.strerror}); put the database on a local disk") from error
    return descriptor, True


def _is_at(path: Path, descriptor: int) -> bool:
    """Tell whether the open file is the one that has this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
