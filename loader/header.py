"""The header of a source file: its names as they stand there, checked against the columns that are needed."""

from mmap import mmap
from pathlib import Path

from loader.errors import SourceRefused
from loader.scan import read_header

_OTHER_DELIMITERS = {";": "semicolon", "\t": "tab", "|": "pipe", ",": "comma"}
_SHOWN = 20


def read_columns(
    path: Path, data: bytes | mmap, required: set[str], delimiter: str, max_columns: int
) -> tuple[list[str], int]:
    """Return the header's names and the offset of the first record.

    Raises:
        SourceRefused: the header is malformed, has too many names, a name twice, or lacks a column of `required`.

    """
    cells, start = read_header(data, delimiter.encode())
    if cells is None:
        raise SourceRefused(
            f"{path}:1: the header is not RFC 4180 (a stray quote or a lone carriage return); export it again"
        )
    if len(cells) > max_columns:
        raise SourceRefused(
            f"{path}:1: the header has {len(cells)} columns, the limit is {max_columns}; "
            "export fewer, or raise [source] max_columns in etl.toml"
        )
    try:
        names = [cell.decode() for cell in cells]
    except UnicodeDecodeError as error:
        raise SourceRefused(
            f"{path}:1: the header is not UTF-8; add the --encoding it was written in, or export it as 'CSV UTF-8'"
        ) from error
    _refuse_names(path, names, required, delimiter)
    return names, start


def _refuse_names(path: Path, names: list[str], required: set[str], delimiter: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceRefused(f"{path}:1: the header has {_shown(twice)} more than once; rename or remove one")
    missing = sorted(required - set(names))
    if missing:
        raise SourceRefused(
            f"{path}:1: the header lacks {_shown(missing)}{_hint(names, missing, delimiter)}; it has {_shown(names)}"
        )


def _hint(names: list[str], missing: list[str], delimiter: str) -> str:
    """Say what would help: another delimiter, or a name that differs only in case and white space."""
    for sign, word in _OTHER_DELIMITERS.items():
        if sign != delimiter and len(names) == 1 and sign in names[0]:
            return f" because its cells are not separated by {delimiter!r}: add --delimiter {word}"
    alike = {name.strip().casefold(): name for name in names}
    renamed = [f"rename {alike[name.casefold()]!r} to {name!r}" for name in missing if name.casefold() in alike]
    return f" ({', '.join(renamed)})" if renamed else ""


def _shown(names: list[str]) -> str:
    return ", ".join(repr(name[:40]) for name in names[:_SHOWN])
