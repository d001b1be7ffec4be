"""One run at a time per database: a lock file beside it, held by the running process, naming it."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loader.errors import DatabaseLocked, Refused, StoppedEarly

_POLL_SECONDS = 0.1


@contextmanager
def run_lock(database: Path, wait_seconds: float, notify: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of `database` for the run; the kernel frees it when the process ends, however it ends.

    Raises:
        DatabaseLocked: another run holds it longer than `wait_seconds`; names its process.
        Refused: the folder of the database cannot be written.
        StoppedEarly: its disk is full.

    """
    path = database.with_name(database.name + ".lock")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(f"{path}: cannot be written ({error.strerror}); correct ETL_DATABASE") from error
    try:
        _acquire(descriptor, database, wait_seconds, notify)
        _name_this_process(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def running_process(database: Path) -> int | None:
    """Return the process id of the run that is under way on `database`; None when there is none."""
    try:
        descriptor = os.open(database.with_name(database.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(descriptor, 20, 0).decode() or 0) or None
    finally:
        os.close(descriptor)
    return None


def _name_this_process(descriptor: int, path: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError as error:
        raise StoppedEarly(
            f"{path}: cannot be written ({error.strerror}); free the disk, then run the same command again"
        ) from error


def _acquire(descriptor: int, database: Path, wait_seconds: float, notify: Callable[[str], None]) -> None:
    deadline, told = time.monotonic() + wait_seconds, False
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode() or "unknown"
            if time.monotonic() >= deadline:
                raise DatabaseLocked(
                    f"{database}: another run (process {holder}) is under way for over {wait_seconds:g} s; "
                    "wait for it, then run the same command again"
                ) from error
            if not told:
                notify(f"another run (process {holder}) is under way on {database}, waiting up to {wait_seconds:g} s")
                told = True
        time.sleep(_POLL_SECONDS)
