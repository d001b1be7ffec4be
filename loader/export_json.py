"""JSON documents written in bounded memory: a long list is streamed from DuckDB, entry by entry, one to a line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from loader.export_files import OutputFile, write_whole


@dataclass(frozen=True)
class Entries:
    """A list of a document that may be too long to hold: the JSON texts of its entries, in batches."""

    batches: Iterator[list[str]]


Document = Mapping[str, Any] | Entries


def write_json(path: Path, document: Document, kind: str = "") -> OutputFile:
    """Write a document whole or not at all; a value of it, or all of it, may be `Entries`.

    Raises:
        StoppedEarly: the folder or the disk does not take it.

    """
    return write_whole(kind, path, partial(_write, document))


def _write(document: Document, file: BinaryIO) -> None:
    if isinstance(document, Entries):
        _write_entries(document, file, "")
    else:
        sign = b"{"
        for key, value in document.items():
            file.write(sign + f"\n  {json.dumps(key)}: ".encode())
            if isinstance(value, Entries):
                _write_entries(value, file, "  ")
            else:
                text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
                file.write(text.replace("\n", "\n  ").encode())
            sign = b","
        file.write(b"\n}")
    file.write(b"\n")


def _write_entries(entries: Entries, file: BinaryIO, indent: str) -> None:
    between, empty = f",\n{indent}  ", True
    for batch in entries.batches:
        file.write((f"[\n{indent}  " if empty else between).encode())
        file.write(between.join(batch).encode())
        empty = False
    file.write(b"[]" if empty else f"\n{indent}]".encode())
