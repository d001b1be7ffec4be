"""The header of a source file: its names as they are there, checked against the columns that are needed."""

import re
from collections.abc import Mapping
from dataclasses import replace
from mmap import mmap
from pathlib import Path
from typing import NamedTuple

from loader.config import SourceProfile
from loader.errors import SourceRefused
from loader.landing.dialect import SIGNS, Dialect
from loader.landing.likeness import profile_name, profile_table
from loader.landing.scan import read_header
from loader.landing.sql import EXPORT_COLUMNS, meant_names

WORDS = {";": "semicolon", "\t": "tab", "|": "pipe", ",": "comma"}
_SHOWN, _MOST_SIGNS = 20, 40
_LOOKED_AT = 1 << 16
# How many lines are looked past for a header that is not on the first line.
_PREAMBLE = 20
_FURTHER_DOWN = "the header stands on line"


class Header(NamedTuple):
    """The names of a header as the file has them, the same as they are landed, and the offset of the first record."""

    columns: list[str]
    names: list[str]
    start: int


def read_columns(
    path: Path, data: bytes | mmap, wanted: Mapping[str, bool], dialect: Dialect, max_columns: int
) -> Header:
    """Return the header.

    Raises SourceRefused where the profile does not fit, where the header is malformed, has too many names or a name
    twice, or lacks a required column of `wanted`, or one that the profile names, or spells one otherwise.
    """
    delimiter, called = dialect.delimiter, {ours: theirs for theirs, ours in dialect.columns.items()}
    if dialect.profile:
        _check_profile(dialect.profile, wanted)
    required = {called.get(name, name) for name, needed in wanted.items() if needed}
    cells, start = read_header(data, delimiter.encode())
    if cells is None:
        refusal = SourceRefused(f"{path}:1: the header {_why_unread(data, required, delimiter)}")
        raise _with_table(refusal, path, data, wanted, dialect)
    if len(cells) > max_columns:
        raise SourceRefused(
            f"{path}:1: the header has {len(cells)} columns, the limit is {max_columns}; "
            "export fewer, or raise [source] max_columns in etl.toml"
        )
    try:
        # A spreadsheet often ends its lines with cells of columns that have no name.
        columns = [cell.decode() or f"column {number}" for number, cell in enumerate(cells, 1)]
    except UnicodeDecodeError as error:
        raise SourceRefused(
            f"{path}:1: the header is not UTF-8; add the --encoding it was written in, or export it as 'CSV UTF-8'"
        ) from error
    meant = meant_names(columns)
    if (sought := required | set(dialect.columns)) - set(meant):
        raise _lacking(path, data, meant, sought, wanted, dialect)
    names = [dialect.columns.get(name, name) for name in meant]
    _check_names(path, columns, names, wanted, called)
    return Header(columns, names, start)


def _check_profile(profile: SourceProfile, wanted: Mapping[str, bool]) -> None:
    """Raise SourceRefused where a profile names columns that there cannot be."""
    where = f"etl.toml: [sources.{profile.name}] columns"
    ours = list(profile.columns.values())
    if twice := sorted({name for name in ours if ours.count(name) > 1}):
        theirs = sorted(name for name, target in profile.columns.items() if target == twice[0])
        raise SourceRefused(f"{where}: {_shown(theirs)} are all read as {twice[0]!r}; keep one")
    if unknown := sorted(set(ours) - set(wanted)):
        raise SourceRefused(f"{where}: {_shown(unknown)} is no column of this entity; it has {_shown(list(wanted))}")
    if added := sorted(set(profile.columns) & set(EXPORT_COLUMNS)):
        raise SourceRefused(f"{where}: {_shown(added)} is a column that our own CSV files add; remove it")


def _check_names(
    path: Path, columns: list[str], names: list[str], wanted: Mapping[str, bool], called: Mapping[str, str]
) -> None:
    """Raise SourceRefused for a column that is there twice, or by another spelling."""
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise SourceRefused(f"{path}:1: the header has {_shown(twice)} more than once; rename or remove one")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceRefused(
            f"{path}:1: the header has {_shown(twice)}, and {_shown([called[name] for name in twice])}, which the "
            "profile reads as that; rename or remove one, or correct the profile"
        )
    # Taken as unknown, it would be left out, and every record would get the default of the column that was meant.
    if renamed := _renamed(names, sorted(set(wanted) - set(names))):
        raise SourceRefused(f"{path}:1: the header has other spellings of known columns: {renamed}")


def _lacking(
    path: Path, data: bytes | mmap, names: list[str], sought: set[str], wanted: Mapping[str, bool], dialect: Dialect
) -> SourceRefused:
    """Return the refusal of a header that has not all columns that are `sought`, with a profile that may name them."""
    missing = sorted(sought - set(names))
    hint = (
        _elsewhere(data, sought, dialect.delimiter)
        or _renamed(names, missing)
        or _otherwise(names, data, dialect.delimiter)
        or (_other_sign(bytes(data[:_LOOKED_AT]), sought, dialect.delimiter) if len(names) == 1 else "")
    )
    lacks = f"the header lacks {_shown(missing)}"
    if dialect.profile and set(missing) & set(dialect.columns):
        lacks += f" of [sources.{dialect.profile.name}] in etl.toml"
    return _with_table(
        SourceRefused(f"{path}:1: {lacks}{hint and f' ({hint})'}; it has {_shown(names)}"), path, data, wanted, dialect
    )


def _with_table(
    refusal: SourceRefused, path: Path, data: bytes | mmap, wanted: Mapping[str, bool], dialect: Dialect
) -> SourceRefused:
    """Add to a refusal the profile that would read the file, where its names can be read and are others than ours."""
    beginning = bytes(data[:_LOOKED_AT])
    cells, _ = read_header(beginning, dialect.delimiter.encode())
    if (cells is None or len(cells) == 1) and (sign := sign_of(beginning, dialect.delimiter)):
        dialect = replace(dialect, delimiter=sign)
        cells, _ = read_header(beginning, sign.encode())
    names = meant_names([cell.decode(errors="replace") for cell in cells or [] if cell])
    required = {name for name, needed in wanted.items() if needed}
    if _FURTHER_DOWN not in str(refusal) and len(names) > 1 and not required <= set(names):
        name = dialect.profile.name if dialect.profile else profile_name(path)
        refusal.add_note(
            f"where other names are meant, add this table to etl.toml, correct it, and add --source-profile {name}:\n"
            + profile_table(path, names, wanted, dialect)
        )
    return refusal


def _why_unread(data: bytes | mmap, required: set[str], delimiter: str) -> str:
    """Say what is wrong with a header that cannot be read, and what to do."""
    beginning = bytes(data[:_LOOKED_AT])
    first, sign = beginning.split(b"\n", 1)[0], delimiter.encode()
    if remedy := _elsewhere(data, required, delimiter) or _other_sign(beginning, required, delimiter):
        return f"cannot be read: {remedy}"
    if first.endswith(b"\r\r"):
        return "is not RFC 4180: its lines end in CR CR LF, as when they are written twice; save it with CRLF or LF"
    if b"\r" in beginning and b"\n" not in beginning:
        old = "its lines end in carriage returns alone"
        return f"is not RFC 4180: {old}; save it with the line ends of Windows or Unix"
    if blank := re.search(rb"(?:^|" + re.escape(sign) + rb")[ \t]+\"", first):
        column = first[: blank.end()].count(sign) + 1
        return (
            f"is not RFC 4180: a blank stands before the quote of column {column}; remove the blanks between the cells"
        )
    return "is not RFC 4180 (a stray quote or a lone carriage return); export it again"


def _other_sign(beginning: bytes, required: set[str], delimiter: str) -> str:
    """Say which other delimiter reads the header, and what that lacks then."""
    if not (sign := sign_of(beginning, delimiter)):
        return ""
    cells, _ = read_header(beginning, sign.encode())
    names = [cell.decode(errors="replace") for cell in cells or ()]
    lacks = sorted(required - set(names))
    hint = f"its cells are not separated by {delimiter!r}: add --delimiter {WORDS[sign]}"
    return f"{hint}; it then lacks {_shown(lacks)} and has {_shown(names)}" if lacks else hint


def sign_of(beginning: bytes, delimiter: str) -> str:
    """Return the other delimiter by which header and first record have the same number of cells; nothing for none."""
    for sign in (sign for sign in WORDS if sign != delimiter):
        cells, start = read_header(beginning, sign.encode())
        record, _ = read_header(beginning[start:], sign.encode())
        # Without a name between two signs, as in `a||b`, it is half of the delimiter.
        if cells and record and len(cells) == len(record) > 1 and any(cells[1::2]):
            return sign
    return ""


def _otherwise(names: list[str], data: bytes | mmap, delimiter: str) -> str:
    """Say of a header of one cell that each line is quoted as one cell, where that holds."""
    line, _, _ = bytes(data[:_LOOKED_AT]).partition(b"\n")
    if len(names) == 1 and delimiter in names[0] and line.lstrip().startswith(b'"'):
        return "each line is quoted as one cell: export it again, without quotes around whole lines"
    return ""


def _elsewhere(data: bytes | mmap, required: set[str], delimiter: str) -> str:
    """Say what reads the file: another delimiter, the header further down, or both; nothing when neither does."""
    wanted = {name.casefold() for name in required}
    lines = bytes(data[:_LOOKED_AT]).splitlines(keepends=True)
    for above in range(min(_PREAMBLE, len(lines))):
        below = b"".join(lines[above:])
        sign = max(sorted(SIGNS), key=lambda sign: (len(wanted & _names(below, sign)), sign == delimiter))
        found = wanted & _names(below, sign)
        hints = [f"its cells are not separated by {delimiter!r}: add --delimiter {WORDS.get(sign, repr(sign))}"]
        if above:
            hints.append(f"{_FURTHER_DOWN} {above + 1}: remove what is above it")
        if (found == wanted) if above else (found and sign != delimiter):
            return "; ".join(hints if sign != delimiter else hints[1:])
    return ""


def _names(data: bytes | mmap, delimiter: str) -> set[str]:
    """Return the names this delimiter makes of the header, without case and white space; none where two are one."""
    cells, _ = read_header(data, delimiter.encode())
    names = [cell.decode(errors="replace").strip().casefold() for cell in cells or []]
    return set() if len(names) > 1 and not any(names[1::2]) else set(names)


def _renamed(names: list[str], missing: list[str]) -> str:
    """Say which names differ only in case, white space and punctuation."""
    alike = {_letters(name): name for name in names}
    found = {name: alike[_letters(name)] for name in missing if _letters(name) in alike}
    return ", ".join(f"rename {other[:_MOST_SIGNS]!r} to {name!r}" for name, other in found.items())


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _shown(names: list[str]) -> str:
    return ", ".join(repr(name[:_MOST_SIGNS]) for name in names[:_SHOWN])
