"""How a source file is written where it is not plain CSV in UTF-8 under our names, named on purpose."""

import codecs
import os
from collections.abc import Mapping
from dataclasses import dataclass

from loader.config import Settings, SourceProfile
from loader.errors import Refused

DELIMITER_VARIABLE = "ETL_DELIMITER"
ENCODING_VARIABLE = "ETL_ENCODING"
PROFILE_VARIABLE = "ETL_SOURCE_PROFILE"
SHEET_VARIABLE = "ETL_SHEET"
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
    """The sign between two cells, the encoding, the sheet of a workbook, and the profile that names the columns.

    `encoding` is None when nobody named one and UTF-8 is expected, `sheet` where there has to be a single one.
    """

    delimiter: str = ","
    encoding: str | None = None
    sheet: str | None = None
    profile: SourceProfile | None = None

    @property
    def columns(self) -> Mapping[str, str]:
        """Return the source columns that the profile names, by what the file calls them."""
        return self.profile.columns if self.profile else {}


def read_dialect(
    delimiter: str | None, encoding: str | None, sheet: str | None = None, profile: SourceProfile | None = None
) -> Dialect:
    """Return the dialect that these words name, or raise Refused.

    An absent or empty word names what the profile says, or else the default.
    """
    told = profile or SourceProfile("")
    where = f"[sources.{told.name}] "
    return Dialect(
        _sign(delimiter, "--") if delimiter else _sign(told.delimiter, where),
        _encoding(encoding, "--") if encoding else _encoding(told.encoding, where),
        sheet or told.sheet,
        profile,
    )


def dialect_of_environment(settings: Settings) -> Dialect:
    """Return the dialect that `ETL_DELIMITER`, `ETL_ENCODING`, `ETL_SHEET` and `ETL_SOURCE_PROFILE` name.

    Raises Refused as `read_dialect`, and where `etl.toml` has no such profile.
    """
    named = os.environ.get
    profile = settings.source_profile(named(PROFILE_VARIABLE))
    return read_dialect(named(DELIMITER_VARIABLE), named(ENCODING_VARIABLE), named(SHEET_VARIABLE), profile)


def dialect_variables(dialect: Dialect) -> dict[str, str]:
    """Return the environment variables that name this dialect."""
    return {
        DELIMITER_VARIABLE: dialect.delimiter,
        ENCODING_VARIABLE: dialect.encoding or "",
        SHEET_VARIABLE: dialect.sheet or "",
        PROFILE_VARIABLE: dialect.profile.name if dialect.profile else "",
    }


def _sign(word: str | None, where: str) -> str:
    sign = _NAMED.get(word.lower(), word) if word else ","
    if sign not in SIGNS:
        raise Refused(
            f"{where}delimiter {word!r} cannot separate cells; use one of: comma, semicolon, tab, pipe or a sign"
        )
    return sign


def _encoding(word: str | None, where: str) -> str | None:
    if not word:
        return None
    try:
        name = codecs.lookup(word).name
    except (LookupError, ValueError):
        name = ""
    name = name.removesuffix("-sig")
    if name not in _ENCODINGS:
        raise Refused(f"{where}encoding {word!r} is not known; use one of: {', '.join(_ENCODINGS)}")
    return name
