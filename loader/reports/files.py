"""Output files: each written whole or not at all, its SHA-256 taken of the bytes that reach the disk."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BufferedRandom
from pathlib import Path
from typing import Any, BinaryIO

from loader.audit.journal import now
from loader.errors import StoppedEarly
from loader.storage.files import write_file
from loader.storage.warehouse import Warehouse


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

    `kind` is the file's, as `fct_output_files` names it. `write` returns the number of records in the file, or None.
    Only the owner of the file may read it. Raises StoppedEarly where the folder or the disk does not take it.
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


def keep_files(warehouse: Warehouse, run_id: str, entity: str, files: Sequence[OutputFile]) -> None:
    """Add the files of a run to `audit.fct_output_files`; raises GateClosed where `dbt build` has to add that."""
    warehouse.rows("select run_id from audit.fct_output_files limit 0")
    of_run = {"run_id": run_id, "entity_type": entity}
    warehouse.insert("fct_output_files", [of_run | asdict(file) | {"path": str(file.path)} for file in files])


@dataclass(frozen=True)
class Entries:
    """A list of a document that may be too long to hold: the JSON texts of its entries, in batches."""

    batches: Iterator[list[str]]


Document = Mapping[str, Any] | Entries


def write_json(path: Path, document: Document, kind: str = "") -> OutputFile:
    """Write a document, of which a value, or all of it, may be `Entries`; raises StoppedEarly as `write_whole` does."""

    def write(file: BinaryIO) -> None:
        for text in _texts(document):
            file.write(text.encode())

    return write_whole(kind, path, write)


def _texts(document: Document) -> Iterator[str]:
    if isinstance(document, Entries):
        yield from _entries(document, "")
    else:
        sign = "{"
        for key, value in document.items():
            yield f"{sign}\n  {json.dumps(key)}: "
            if isinstance(value, Entries):
                yield from _entries(value, "  ")
            else:
                yield json.dumps(value, indent=2, ensure_ascii=False, default=str).replace("\n", "\n  ")
            sign = ","
        yield "\n}"
    yield "\n"


def _entries(entries: Entries, indent: str) -> Iterator[str]:
    between, sign = f",\n{indent}  ", f"[\n{indent}  "
    for batch in entries.batches:
        yield sign + between.join(batch)
        sign = between
    yield f"\n{indent}]" if sign == between else "[]"
