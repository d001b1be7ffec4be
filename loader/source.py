"""Opens a source file: refuses what cannot be trusted at all, copies the rest to a private spool while hashing it.

Everything after the copy reads the spool, so the bytes that are parsed are the bytes that were hashed, a file that
changes meanwhile cannot crash or mislead the scan, and the file's name never reaches SQL.
"""

import codecs
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

from loader.errors import SourceRefused
from loader.scan import read_header

CHUNK_BYTES = 1 << 20
_FOREIGN = {
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip or xlsx file",
}


@dataclass(frozen=True)
class Source:
    """An opened source: its path, the SHA-256 of its bytes, its text as mapped bytes without byte order mark."""

    path: Path
    sha256: str
    data: mmap


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Yield the file as a `Source`.

    Raises:
        SourceRefused: not a readable regular file, empty, not UTF-8, NUL bytes, or changed while it was read.

    """
    with _open_regular(path) as file, tempfile.TemporaryFile() as spool:
        before = os.fstat(file.fileno())
        sha256 = _copy(path, file, spool)
        if _identity(before) != _identity(os.fstat(file.fileno())):
            raise SourceRefused(f"{path}: changed while it was read; wait until it is written, then run again")
        if not spool.tell():
            raise SourceRefused(f"{path}: is empty; export it again, with a header line and records")
        spool.flush()
        with mmap(spool.fileno(), 0, access=ACCESS_READ) as data:
            yield Source(path, sha256, data)


def check_source(path: Path, required: set[str]) -> None:
    """Refuse at once what the header shows, before dbt is started; `landing` reads and judges the whole file.

    Raises:
        SourceRefused: not a readable regular file, no header, a name twice in it, or a required column missing.

    """
    with _open_regular(path) as file:
        beginning = file.read(CHUNK_BYTES)
    _refuse_foreign(path, beginning)
    if not beginning:
        raise SourceRefused(f"{path}: is empty; export it again, with a header line and records")
    columns, start = header(path, beginning.removeprefix(codecs.BOM_UTF8), required)
    whole = len(beginning) < CHUNK_BYTES
    if whole and not beginning.removeprefix(codecs.BOM_UTF8)[start:].strip():
        raise SourceRefused(f"{path}: has a header ({len(columns)} columns) and no record; export it again")


def header(path: Path, data: bytes | mmap, required: set[str]) -> tuple[list[str], int]:
    """Return the header's names and the offset of the first record.

    Raises:
        SourceRefused: the header is malformed, has a name twice, or lacks a column of `required`.

    """
    cells, start = read_header(data)
    if cells is None:
        raise SourceRefused(
            f"{path}:1: the header is not RFC 4180 (a stray quote or a lone carriage return); export it again"
        )
    try:
        names = [cell.decode() for cell in cells]
    except UnicodeDecodeError as error:
        raise _not_utf8(path, 1) from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceRefused(f"{path}:1: the header has {_shown(twice)} more than once; rename or remove one")
    missing = sorted(required - set(names))
    if missing:
        raise SourceRefused(
            f"{path}:1: the header lacks {_shown(missing)}{_dialect_hint(names)}; it has {_shown(names)}"
        )
    return names, start


def _dialect_hint(names: list[str]) -> str:
    if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
        return " because the cells are not separated by commas: export it with commas"
    return ""


def _shown(names: list[str]) -> str:
    return ", ".join(repr(name[:40]) for name in names[:20])


def _open_regular(path: Path) -> BinaryIO:
    try:
        str(path).encode()
        # Non-blocking, or opening a FIFO without a writer would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise SourceRefused(f"{path}: no such file; check --source") from error
    except UnicodeEncodeError as error:
        raise SourceRefused(f"{str(path)[:200]!r}: its name is not UTF-8; rename it, then run again") from error
    except (OSError, ValueError) as error:
        raise SourceRefused(
            f"{str(path)[:200]!r}: cannot be opened ({getattr(error, 'strerror', error)}); check --source"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceRefused(f"{path}: is not a regular file; --source takes one CSV file")
    return os.fdopen(descriptor, "rb")


def _copy(path: Path, file: BinaryIO, spool: BinaryIO) -> str:
    """Copy the file to the spool without byte order mark; return the SHA-256 of the file."""
    digest, decoder, line, first = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")(), 1, True
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        if first:
            _refuse_foreign(path, chunk)
            chunk, first = chunk.removeprefix(codecs.BOM_UTF8), False
        _check_text(path, chunk, decoder, line)
        line += chunk.count(b"\n")
        spool.write(chunk)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _not_utf8(path, line) from error
    return digest.hexdigest()


def _check_text(path: Path, chunk: bytes, decoder: codecs.IncrementalDecoder, line: int) -> None:
    if b"\0" in chunk:
        where = line + chunk[: chunk.index(b"\0")].count(b"\n")
        raise SourceRefused(f"{path}:{where}: has a NUL byte, so it is not a text file; export it again as UTF-8 CSV")
    try:
        decoder.decode(chunk)
    except UnicodeDecodeError as error:
        raise _not_utf8(path, line + error.object[: error.start].count(b"\n")) from error


def _not_utf8(path: Path, line: int) -> SourceRefused:
    return SourceRefused(f"{path}:{line}: is not UTF-8 (cp1252, perhaps); save it as 'CSV UTF-8' and run again")


def _refuse_foreign(path: Path, beginning: bytes) -> None:
    for magic, name in _FOREIGN.items():
        if beginning.startswith(magic):
            raise SourceRefused(f"{path}: is {name}, not UTF-8 CSV; export or unpack it as 'CSV UTF-8' and run again")


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
