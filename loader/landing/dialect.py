"""How a source file is written where it is not plain CSV in UTF-8: its delimiter and its encoding, named on purpose."""

import codecs
import os
from dataclasses import dataclass

from loader.errors import Refused

DELIMITER_VARIABLE = "ETL_DELIMITER"
ENCODING_VARIABLE = "ETL_ENCODING"
_NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "\\t": "\t"}
SIGNS = frozenset(",;|:!#$%&*/^~\t")
# By Python's name of the codec. Each of them maps text to bytes and back without loss.
# Those of one byte a letter, the commonest first.
ONE_BYTE = (
    *("cp1252", "cp1250", "cp1251", "mac-roman", "iso8859-1", "iso8859-2", "iso8859-15"),
    *(f"cp{page}" for page in (*range(1253, 1259), 437, 850, 852)),
)
_ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", *ONE_BYTE)


@dataclass(frozen=True)
class Dialect:
    """The sign between two cells, and the encoding; `encoding` is None when nobody named one and UTF-8 is expected."""

    delimiter: str = ","
    encoding: str | None = None


def read_dialect(delimiter: str | None, encoding: str | None) -> Dialect:
    """Return the dialect that these words name, or raise Refused; an absent or empty word names the default."""
    sign = _NAMED.get(delimiter.lower(), delimiter) if delimiter else ","
    if sign not in SIGNS:
        raise Refused(
            f"--delimiter {delimiter!r} cannot separate cells; use one of: comma, semicolon, tab, pipe or a sign"
        )
    return Dialect(sign, _encoding(encoding) if encoding else None)


def dialect_of_environment() -> Dialect:
    """Return the dialect that `ETL_DELIMITER` and `ETL_ENCODING` name, or raise as `read_dialect`."""
    return read_dialect(os.environ.get(DELIMITER_VARIABLE), os.environ.get(ENCODING_VARIABLE))


def dialect_variables(dialect: Dialect) -> dict[str, str]:
    """Return the environment variables that name this dialect."""
    return {DELIMITER_VARIABLE: dialect.delimiter, ENCODING_VARIABLE: dialect.encoding or ""}


def _encoding(word: str) -> str:
    try:
        name = codecs.lookup(word).name
    except (LookupError, ValueError):
        name = ""
    name = name.removesuffix("-sig")
    if name not in _ENCODINGS:
        raise Refused(f"--encoding {word!r} is not known; use one of: {', '.join(_ENCODINGS)}")
    return name
