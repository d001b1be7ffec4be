"""Output files: each written whole or not at all, its SHA-256 taken of the bytes that reach the disk."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BufferedRandom
from pathlib import Path
from typing import Self

from loader.audit import now
from loader.errors import StoppedEarly
from loader.warehouse import Row, Warehouse
from loader.whole import write_file

_PIECE = 1 << 20


@dataclass(frozen=True)
class OutputFile:
    """One file of a run; `records` is None for a report, which is no list of records."""

    kind: str
    path: Path
    sha256: str
    bytes: int
    records: int | None
    written_at: datetime


class Output:
    """A file that grows, and the SHA-256 of what the disk gives back of it, taken on a core of its own."""

    def __init__(self, file: BufferedRandom) -> None:
        self._file, self._digest, self._end = file, hashlib.sha256(), 0
        self._hasher, self._hashing = ThreadPoolExecutor(1), list[Future[None]]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hasher.shutdown()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()

    def write(self, data: bytes) -> int:
        """Append bytes."""
        return self._file.write(data)

    def hash_meanwhile(self) -> None:
        """Begin to hash what is there so far, which nobody changes any more."""
        self._file.flush()
        begin, self._end = self._end, os.fstat(self.fileno()).st_size
        self._hashing.append(self._hasher.submit(self._hash, begin, self._end))

    def hashed(self) -> tuple[str, int]:
        """Return the SHA-256 of all of it and its bytes."""
        self.hash_meanwhile()
        for hashing in self._hashing:
            hashing.result()
        return self._digest.hexdigest(), self._end

    def _hash(self, begin: int, end: int) -> None:
        for at in range(begin, end, _PIECE):
            self._digest.update(os.pread(self.fileno(), min(_PIECE, end - at), at))


def write_whole(kind: str, path: Path, write: Callable[[Output], int | None]) -> OutputFile:
    """Let `write` fill a file that is written whole or not at all, and take its SHA-256.

    Args:
        kind: what the file is, as `fct_output_files` names it.
        path: where it stands in the end; only its owner may read it.
        write: fills the opened file and returns the number of records in it, or None.

    Raises:
        StoppedEarly: the folder or the disk does not take it.

    """

    def fill(file: BufferedRandom) -> tuple[int | None, str, int]:
        with Output(file) as output:
            records = write(output)
            return records, *output.hashed()

    try:
        records, sha256, size = write_file(path, fill)
    except OSError as error:
        raise StoppedEarly(
            f"{path}: cannot be written ({error.strerror}); the audit tables hold everything: "
            "free the disk or correct ETL_OUTPUT_DIR, then run the same command again"
        ) from error
    return OutputFile(kind, path, sha256, size, records, now())


def keep_files(warehouse: Warehouse, run: Row, files: Sequence[OutputFile]) -> None:
    """Add the files of a run to `audit.fct_output_files`.

    Raises:
        GateClosed: the database is older than the table, and `dbt build` adds it.

    """
    warehouse.rows("select run_id from audit.fct_output_files limit 0")
    of_run = {"run_id": run["run_id"], "entity_type": run["entity_type"]}
    warehouse.insert("fct_output_files", [of_run | asdict(file) | {"path": str(file.path)} for file in files])
