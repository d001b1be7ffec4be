"""Output files: each written whole or not at all, its SHA-256 taken of the bytes that reach the disk."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO

from loader.audit import now
from loader.errors import StoppedEarly
from loader.warehouse import Row, Warehouse
from loader.whole import write_file


@dataclass(frozen=True)
class OutputFile:
    """One file of a run; `records` is None for a report, which is no list of records."""

    kind: str
    path: Path
    sha256: str
    bytes: int
    records: int | None
    written_at: datetime


def write_whole(kind: str, path: Path, write: Callable[[BinaryIO], int | None]) -> OutputFile:
    """Let `write` fill a file that is written whole or not at all, and take its SHA-256.

    Args:
        kind: what the file is, as `fct_output_files` names it.
        path: where it stands in the end; only its owner may read it.
        write: fills the opened file and returns the number of records in it, or None.

    Raises:
        StoppedEarly: the folder or the disk does not take it.

    """

    def fill(file: BufferedRandom) -> tuple[int | None, str, int]:
        records = write(file)
        file.flush()
        file.seek(0)
        return records, hashlib.file_digest(file, "sha256").hexdigest(), file.tell()

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
