"""Opens a source file: refuses what cannot be trusted at all, copies the rest to a private spool while hashing it.

Everything after the copy reads the spool, so the bytes that are parsed are the bytes that were hashed, a file that
changes meanwhile cannot crash or mislead the scan, and the file's name never reaches SQL.
"""

import hashlib
import os
import stat
import tempfile
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, BinaryIO

from loader.config import Limits
from loader.errors import SourceRefused
from loader.landing.dialect import Dialect
from loader.landing.encoding import Recoder, refuse_other_encoding
from loader.landing.header import read_columns
from loader.landing.scan import read_header
from loader.landing.sql import FROM_EXPORT
from loader.landing.workbook import check_workbook, is_workbook, write_sheet

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """An opened source: its path, the SHA-256 of its bytes, its text as mapped UTF-8 without byte order mark.

    `is_utf8` is False when some record holds other bytes; `export_with_bom` tells whether CSV files made from this
    source begin with a byte order mark, because it did or because it was in another encoding. `dialect` is that of
    `data`. `is_sheet` tells that it was the sheet of a workbook, of whose rows each is a line whatever its cells hold;
    `notices` is what is to be said of that.
    """

    path: Path
    sha256: str
    data: mmap
    is_utf8: bool
    export_with_bom: bool
    dialect: Dialect
    is_sheet: bool = False
    notices: tuple[str, ...] = ()


@contextmanager
def open_source(path: Path, dialect: Dialect, limits: Limits) -> Iterator[Source]:
    """Yield the file as a `Source`.

    Raises SourceRefused for what is no readable regular file, is too large or empty, has another encoding or NUL bytes,
    or changed while it was read; for a workbook as `write_sheet`.
    """
    with _open_regular(path, limits) as file, tempfile.TemporaryFile() as spool:
        if is_workbook(path, file):
            with _open_sheet(path, file, spool, dialect, limits) as source:
                yield source
            return
        dialect = _as_it_is(file, dialect)
        recoder = Recoder(path, dialect.encoding)
        sha256 = _copy_unchanged(path, file, spool, recoder)
        spool.flush()
        with mmap(spool.fileno(), 0, access=ACCESS_READ) as data:
            if not recoder.is_utf8 and not dialect.encoding:
                refuse_other_encoding(path, data, recoder.first_bad_line)
            yield Source(path, sha256, data, recoder.is_utf8, recoder.had_bom or recoder.recodes, dialect)


@contextmanager
def _open_sheet(path: Path, file: BinaryIO, spool: IO[bytes], dialect: Dialect, limits: Limits) -> Iterator[Source]:
    """Yield the sheet of a workbook, of which a copy is taken first; the spool gets the CSV."""
    with tempfile.TemporaryFile() as copy:
        sha256 = _copy_unchanged(path, file, copy, None)
        copy.seek(0)
        notices = write_sheet(path, copy, dialect.sheet, limits, spool)
    spool.flush()
    if not spool.tell():
        raise _empty(path)
    with mmap(spool.fileno(), 0, access=ACCESS_READ) as data:
        read = replace(dialect, delimiter=",", encoding=None)
        # A spreadsheet takes a CSV without the mark for another encoding.
        yield Source(path, sha256, data, True, True, read, is_sheet=True, notices=tuple(notices))  # noqa: FBT003


def _as_it_is(file: BinaryIO, dialect: Dialect) -> Dialect:
    """Return the dialect of a file that is read by a profile: one of our own CSV files is written as we write it."""
    if not dialect.profile:
        return dialect
    beginning = file.read(CHUNK_BYTES)
    file.seek(0)
    cells, _ = read_header(beginning.removeprefix(BOM_UTF8), b",")
    if FROM_EXPORT.encode() not in (cells or ()):
        return dialect
    return replace(dialect, delimiter=",", encoding=None if beginning.startswith(BOM_UTF8) else dialect.encoding)


def check_source(path: Path, wanted: Mapping[str, bool], dialect: Dialect, limits: Limits) -> None:
    """Raise SourceRefused for what the beginning shows, before dbt is started; landing judges the whole file."""
    with _open_regular(path, limits) as file:
        try:
            if is_workbook(path, file):
                _check_sheet(path, file, wanted, dialect, limits)
                return
            dialect = _as_it_is(file, dialect)
            beginning = file.read(CHUNK_BYTES)
        except OSError as error:
            raise SourceRefused(f"{path}: cannot be read ({error.strerror}); check --source") from error
    if not beginning:
        raise _empty(path)
    recoder, whole = Recoder(path, dialect.encoding), len(beginning) < CHUNK_BYTES
    text = recoder.recode(beginning, final=whole)
    if whole and not recoder.is_utf8 and not dialect.encoding:
        refuse_other_encoding(path, text, recoder.first_bad_line)
    _check_beginning(path, text, wanted, dialect, limits, whole=whole)


def _check_sheet(path: Path, file: BinaryIO, wanted: Mapping[str, bool], dialect: Dialect, limits: Limits) -> None:
    """Check a workbook: a small one as a whole, of a large one that its sheet can be read; reading it takes long."""
    if os.fstat(file.fileno()).st_size >= CHUNK_BYTES:
        check_workbook(path, file, dialect.sheet, limits)
        return
    with open_source(path, dialect, limits) as source:
        _check_beginning(path, bytes(source.data), wanted, source.dialect, limits, whole=True)


def _check_beginning(
    path: Path, text: bytes, wanted: Mapping[str, bool], dialect: Dialect, limits: Limits, *, whole: bool
) -> None:
    header = read_columns(path, text, wanted, dialect, limits.max_columns)
    if whole and not text[header.start :].strip():
        raise no_record(path, header.columns)


def no_record(path: Path, columns: list[str]) -> SourceRefused:
    """Return the refusal of a file that has a header alone."""
    return SourceRefused(f"{path}: has a header ({len(columns)} columns) and no record; export it again")


def _empty(path: Path) -> SourceRefused:
    return SourceRefused(f"{path}: is empty; export it again, with a header line and records")


def _open_regular(path: Path, limits: Limits) -> BinaryIO:
    try:
        str(path).encode()
        # Non-blocking, or opening a FIFO without a writer would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise SourceRefused(f"{path}: no such file; {_why_not_there(path)}") from error
    except UnicodeEncodeError as error:
        raise SourceRefused(f"{str(path)[:200]!r}: its name is not UTF-8; rename it, then run again") from error
    except (OSError, ValueError) as error:
        raise SourceRefused(
            f"{str(path)[:200]!r}: cannot be opened ({getattr(error, 'strerror', error)}); check --source"
        ) from error
    status = os.fstat(descriptor)
    is_file = stat.S_ISREG(status.st_mode)
    if is_file and status.st_size <= limits.max_file_bytes:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if is_file:
        raise SourceRefused(
            f"{path}: has {status.st_size} bytes, the limit is {limits.max_file_bytes}; "
            "split it, or raise [source] max_file_bytes in etl.toml"
        )
    kind = "is a folder, " if stat.S_ISDIR(status.st_mode) else "is not a regular file; "
    raise SourceRefused(f"{path}: {kind}--source takes one file: CSV, or an .xlsx workbook")


def _why_not_there(path: Path) -> str:
    if ":/" in str(path):
        return "addresses are not fetched: download the file and give its path"
    if any(sign in path.name for sign in "*?["):
        return "patterns are not expanded: --source takes one file: CSV, or an .xlsx workbook"
    return "check --source"


def _copy_unchanged(path: Path, file: BinaryIO, spool: IO[bytes], recoder: Recoder | None) -> str:
    """Copy as `_copy`; raise SourceRefused where the file is empty, or changed meanwhile."""
    before = os.fstat(file.fileno())
    sha256 = _copy(file, before.st_size, spool, recoder)
    if sha256 is None or _identity(before) != _identity(os.fstat(file.fileno())):
        raise SourceRefused(f"{path}: changed while it was read; wait until it is written, then run again")
    if not spool.tell():
        raise _empty(path)
    return sha256


def _copy(file: BinaryIO, size: int, spool: IO[bytes], recoder: Recoder | None) -> str | None:
    """Copy the file to the spool, with a recoder as UTF-8 without byte order mark.

    Returns the SHA-256 of the file's own bytes. A file that turns out to be longer than `size` is read no further:
    None.
    """
    digest, copied = hashlib.sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        copied += len(chunk)
        if copied > size:
            return None
        digest.update(chunk)
        spool.write(recoder.recode(chunk) if recoder else chunk)
    if recoder:
        spool.write(recoder.recode(b"", final=True))
    return digest.hexdigest()


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
