"""Writes what the scan finds into spools that DuckDB reads: the well-formed records, and the malformed ones."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, repeat
from mmap import MADV_DONTNEED
from pathlib import Path
from typing import IO, NamedTuple

from loader.config import Limits
from loader.errors import SourceRefused
from loader.landing.dialect import Dialect
from loader.landing.header import read_columns
from loader.landing.scan import CELL_BREAK, Grammar, Piece, scan, separate_records, split_cells
from loader.landing.source import Source, no_record, open_source

# How much of the mapped file may stay in memory; the kernel would keep all of it while there is room.
_HELD_BYTES = 1 << 26
# DuckDB reads one file on one core, several of them side by side; fewer bytes are not worth another file.
_FILES, _LEAST_BYTES = 12, 1 << 22
# DuckDB stores rows in groups of so many (https://duckdb.org/docs/stable/internals/storage), those of one CSV file in
# groups of their own. The next process that writes to the database merges the smaller ones: it writes them again.
ROW_GROUP = 122_880


@dataclass(frozen=True)
class Spooled:
    """What is known of a spooled file as a whole.

    `columns` are the header's names in its order, `names` those under which they are landed; `records` counts malformed
    ones too; `delimiter` is that of the spools; `export_with_bom` and `notices` are as in `Source`; `profile` names the
    one that was used; `is_cut` tells that the last line has no line end.
    """

    source_file: str
    sha256: str
    columns: list[str]
    names: list[str]
    records: int
    blank_lines: int
    export_with_bom: bool
    is_cut: bool = False
    delimiter: str = ","
    profile: str | None = None
    notices: Sequence[str] = ()


class Spools(NamedTuple):
    """Where the records go: the well-formed ones to several files, one after the other, the malformed ones to one."""

    records: Sequence[IO[bytes]]
    errors: IO[bytes]

    def rewind(self) -> None:
        """Flush for readers that open a file anew, rewind for those that share its position."""
        for file in (*self.records, self.errors):
            file.seek(0)


@contextmanager
def new_spools() -> Iterator[Spools]:
    """Yield empty spools without a name: whatever ends the process, nothing of them is left."""
    with ExitStack() as files:
        records = [files.enter_context(tempfile.TemporaryFile(buffering=1 << 20)) for _ in range(_FILES)]
        yield Spools(records, files.enter_context(tempfile.TemporaryFile()))


def spool_file(path: Path, wanted: Mapping[str, bool], dialect: Dialect, limits: Limits, spools: Spools) -> Spooled:
    """Scan a file and write every record of it into the spools.

    A well-formed record goes to `records` as it is, after its record number and by how much its line number is
    ahead of that; a malformed one to `errors`, as record number, line number, code, count of cells and text.

    Raises SourceRefused where the file cannot be trusted at all, is over a limit, has no record or cannot be spooled.
    """
    try:
        with open_source(path, dialect, limits) as source:
            header = read_columns(path, source.data, wanted, source.dialect, limits.max_columns)
            delimiter = source.dialect.delimiter
            grammar = Grammar(delimiter.encode(), len(header.columns), record_is_line=source.is_sheet)
            records, blank_lines = _spool(source, header.start, grammar, limits, spools)
            spools.rewind()
            is_cut = source.data[-1:] != b"\n"
    except OSError as error:
        raise SourceRefused(
            f"{path}: cannot be landed ({error.strerror}); free {tempfile.gettempdir()}, or set TMPDIR"
        ) from None
    if not records:
        raise no_record(path, header.columns)
    return Spooled(
        str(path),
        source.sha256,
        header.columns,
        header.names,
        records,
        blank_lines,
        source.export_with_bom,
        is_cut,
        delimiter,
        dialect.profile.name if dialect.profile else None,
        source.notices,
    )


def _spool(source: Source, start: int, grammar: Grammar, limits: Limits, spools: Spools) -> tuple[int, int]:
    """Return the number of records and of blank lines."""
    last, blank_lines, held = 0, 0, 0
    shares = _Shares(spools.records, max(_LEAST_BYTES, -(-len(source.data) // _FILES)), grammar)
    for piece in scan(source.data, start, grammar, limits.max_record_bytes, is_utf8=source.is_utf8):
        _check_sizes(source, piece, grammar, limits)
        last += piece.records
        if not piece.records:
            blank_lines += piece.lines
        elif piece.error:
            # Bytes that are not UTF-8 are shown as Python shows them, as a backslash and hex.
            text = piece.text.decode("utf-8", "backslashreplace").replace('"', '""')
            spools.errors.write(f'{piece.number},{piece.line},{piece.error},{piece.cells},"{text}"\n'.encode())
        else:
            shares.write(piece)
        held += len(piece.text)
        if held > _HELD_BYTES:
            source.data.madvise(MADV_DONTNEED)
            held = 0
    return last, blank_lines


class _Shares:
    """Shares records out to files, by bytes of the source: from one share to two, up to the end of a row group."""

    def __init__(self, files: Sequence[IO[bytes]], share: int, grammar: Grammar) -> None:
        self._files, self._share, self._grammar = iter(files), share, grammar
        self._begin()

    def _begin(self) -> None:
        self._file, self._bytes, self._records = next(self._files), 0, 0

    def write(self, piece: Piece) -> None:
        """Write the lines of these well-formed records."""
        room = ROW_GROUP - self._records % ROW_GROUP
        if self._bytes >= self._share and room < piece.records:
            piece, rest = _cut(piece, room, self._grammar)
            self._write(piece)
            piece, room = rest, ROW_GROUP
        if self._bytes >= 2 * self._share or (self._bytes >= self._share and room == ROW_GROUP):
            self._begin()
        self._write(piece)

    def _write(self, piece: Piece) -> None:
        self._file.write(_numbered(piece, self._grammar))
        self._bytes += len(piece.text)
        self._records += piece.records


def _cut(piece: Piece, records: int, grammar: Grammar) -> tuple[Piece, Piece]:
    """Return the first so many records of a piece, and the others."""
    lines = piece.text.split(b"\n", records)
    first, rest = b"\n".join([*lines[:-1], b""]), lines[-1]
    ahead = records + grammar.breaks(first)
    return piece._replace(text=first, records=records, lines=ahead), piece._replace(
        number=piece.number + records,
        line=piece.line + ahead,
        text=rest,
        records=piece.records - records,
        lines=piece.lines - ahead,
    )


def _numbered(piece: Piece, grammar: Grammar) -> bytes:
    """Return the lines of the spool: each record after its number and by how much its line is ahead of that."""
    ahead = piece.line - piece.number
    delimiter = grammar.delimiter
    signs = delimiter.replace(b"%", b"%%")
    runs = piece.text[:-1].replace(b"%", b"%%").split(CELL_BREAK)
    # Formatting numbers into one text for all of them costs a third of putting every line together by itself.
    places = repeat(ahead) if grammar.record_is_line else count(ahead)
    lines = [run.replace(b"\n", b"\n%%d%b%d%b" % (signs, at, signs)) for at, run in zip(places, runs, strict=False)]
    template = b"%%d%b%d%b" % (signs, ahead, signs) + b"\n".join(lines) + b"\n"
    return template % tuple(range(piece.number, piece.number + piece.records))


def _check_sizes(source: Source, piece: Piece, grammar: Grammar, limits: Limits) -> None:
    if len(piece.text) <= limits.max_field_bytes:
        return
    line = piece.line
    for text in [piece.text] if piece.error else separate_records(piece.text):
        if len(text) > limits.max_record_bytes:
            raise SourceRefused(
                f"{source.path}:{line}: a record of {len(text)} bytes, the limit is "
                f"{limits.max_record_bytes}; look for a quote that is never closed, or raise [source] max_record_bytes"
            )
        if len(text) > limits.max_field_bytes and not piece.error:
            largest = max(map(len, split_cells(text, grammar)))
            if largest > limits.max_field_bytes:
                raise SourceRefused(
                    f"{source.path}:{line}: a cell of {largest} bytes, the limit is "
                    f"{limits.max_field_bytes}; shorten it, or raise [source] max_field_bytes in etl.toml"
                )
        line += 1 + (0 if grammar.record_is_line else text.count(b"\n"))
