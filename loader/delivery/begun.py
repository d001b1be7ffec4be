"""Notes which requests of a run have begun, in a file beside the database, so that a kill leaves few records in doubt.

The file has one byte for each record, in memory that the kernel shares with it: noting costs no call, and what was
noted outlives the process however it ends. It does not outlive the machine, so the file names the boot that it is of,
and says nothing after another one.
"""

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loader.errors import StoppedEarly
from loader.storage.process import Process

_HEADER_BYTES = 128
_BEGUN = 1


@contextmanager
def noting(database: Path, run_id: str, last_number: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that notes, by a record's number, up to this one, that a request for it is about to be sent.

    The file goes when the run gets to its end. StoppedEarly where it cannot be written.
    """
    path = _path(database)
    try:
        # Its bytes are written, not left out: a full disk is told now, and not by a signal later.
        path.write_bytes(_header(run_id) + bytes(last_number + 1))
        with path.open("r+b") as file:
            noted = mmap.mmap(file.fileno(), 0)
    except OSError as error:
        raise StoppedEarly(f"{path}: {error.strerror}; free the disk, then run the same command again") from error

    def note(record_number: int) -> None:
        noted[_HEADER_BYTES + record_number] = _BEGUN

    # After an error it stays, and open: requests that are under way may still come to an end.
    yield note
    noted.close()
    path.unlink(missing_ok=True)


def begun_records(database: Path, run_id: str) -> list[int] | None:
    """Return the numbers of the records whose requests had begun in a run that was killed; None where nobody knows."""
    try:
        noted = _path(database).read_bytes()
    except OSError:
        return None
    if not noted.startswith(_header(run_id)) or not Process.this().boot_id:
        return None
    return [number for number, state in enumerate(noted[_HEADER_BYTES:]) if state == _BEGUN]


def _header(run_id: str) -> bytes:
    return f"{run_id} {Process.this().boot_id}".encode().ljust(_HEADER_BYTES)


def _path(database: Path) -> Path:
    return database.with_name(database.name + ".begun")
