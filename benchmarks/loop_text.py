"""What the rules of the loop look for in a text, as the macros of `dbt_project` have it in SQL."""

import re
import unicodedata
from datetime import UTC, date, datetime

import regex

# RE2's [\s\pZ] and the byte order mark: other than Python's white space, without the information separators.
WHITE = "\t\n\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
UNSEEN = "\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2060\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff"
LOST_LETTER = "\ufffd"
CONTROL = re.compile(f"[{UNSEEN}]")
UNUSUAL = re.compile(f"[<&{LOST_LETTER}{UNSEEN}]")
HTML = re.compile(r"<[A-Za-z/!?][^>\t\n\f\r ]*>?|&(?:#[0-9]+|#[xX][0-9A-Fa-f]+|[A-Za-z][A-Za-z0-9]*);")
UNPRINTABLE = regex.compile(r"[\p{Cc}\p{Cf}\p{Co}]|[^\P{Z} ]")
TAG = re.compile(r"<[A-Za-z/!?][^>]*>?")
ERROR_TEXT = re.compile(r"#(?:REF!|VALUE!|NAME[?]|DIV/0!|N/A|NULL!|NUM!|SPILL!|CALC!|#{2,})|Err:[0-9]{3}")
PLACEHOLDER = re.compile(
    r"n/?a|n[.]a[.]|tb[acd]|null|nil|nan|none|unknown|undefined|not (?:known|available|applicable)"
    r"|[-\u2013\u2014]+|[?]+|[.\u2026]+|_+",
    re.IGNORECASE | re.ASCII,
)
LONGEST_PLACEHOLDER = 20
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
DAMAGED = re.compile(
    rf"{ERROR_TEXT.pattern}|(?i:true|false)|[0-9](?:[.,][0-9]+)?[eE][+][0-9]{{1,3}}|[0-9][.,][0-9]+[eE]-[0-9]{{1,3}}"
    rf"|[0-9]{{1,2}}-{_MONTH}(?:-[0-9]{{2,4}})?|{_MONTH}-[0-9]{{2,4}}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}[ T]00:00(?::00)?",
    re.ASCII,
)
NUMBER = re.compile(r"[0-9]+", re.ASCII)
EARLIEST_YEAR = 1990
LONGEST_ESCAPE = 6
_LONGEST_VALUE = 200

_SPACES = re.compile(r"[\t\n\f\r ]+")
_HIDDEN = regex.compile(r"[\p{Cc}\p{Cf}]")
_SHOWN = 80
_BLANKS = regex.compile(r"[\p{Cc}\p{Cf}\p{Co}\p{Z}]+")
_JOINTS = regex.compile(r"[\t\n\f\r\p{Z}\p{Pd}_\u2212]+")
_GRAPHEME = regex.compile(r"\X")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(
    r"[1-9]\d{3}-\d{2}-\d{2}T([01]\d|2[0-3]):\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_LOOK_ALIKES = {
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d",
    "'": "\u2019\u2018\u02bc\xb4`",
    '"': "\u201c\u201d\uff02",
    "/": "\u2044\u2215\uff0f",
    "_": "\uff3f",
    ".": "\uff0e",
}
_PLAIN = {ord(sign): plain for plain, signs in _LOOK_ALIKES.items() for sign in signs}
_PLAIN |= {0xFEE0 + code: chr(code) for code in map(ord, "0123456789abcdefghijklmnopqrstuvwxyz")}


def lowered(text: str) -> str:
    """Return the text in lower case, sign by sign as DuckDB does it: Python's own way looks at the neighbours."""
    return text.lower() if text.isascii() else "".join(map(str.lower, text.replace("\u0130", "i")))


def folded_key(key: str) -> str:
    """Return a key without what the eye does not tell apart."""
    if key.isascii() and key.isprintable() and " " not in key:
        return key.lower()
    return _BLANKS.sub("", lowered(unicodedata.normalize("NFC", key)).translate(_PLAIN))


def folded_value(value: str) -> str:
    """Return a value of an enum without what does not tell two of them apart; a sign at an end stays as a blank."""
    if value.isascii() and value.isalnum():
        return value.lower()
    if len(value.encode()) > _LONGEST_VALUE:
        return value
    letters = unicodedata.normalize("NFD", lowered(value))
    return _JOINTS.sub(" ", "".join(letter for letter in letters if not unicodedata.combining(letter)))


def excerpt(text: str) -> str:
    """Return a value as a message shows it: at most 80 characters, on one line, nothing hidden in it."""
    return _HIDDEN.sub(LOST_LETTER, _SPACES.sub(" ", text[:_SHOWN])) + ("..." if len(text) > _SHOWN else "")


def escaped_length(text: str) -> int:
    """Return the length in code points after HTML escaping, as the API counts it."""
    escapes = 4 * text.count("&") + 3 * (text.count("<") + text.count(">")) + 5 * text.count("\xa0")
    return len(text) - text.count("\r\n") + escapes


def fitted(text: str, limit: int, *, is_escaped: bool) -> str:
    """Return the longest beginning that counts as at most `limit`, no half grapheme in it and no blank at its end."""
    size = end = 0
    for match in _GRAPHEME.finditer(text):
        size += escaped_length(match[0]) if is_escaped else len(match[0])
        if size > limit:
            break
        end = match.end()
    return text[:end].rstrip()


def utc_date(text: str) -> date | None:
    """Return the UTC day of YYYY-MM-DD or of a date-time with a zone; None for anything else."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
        if not _MOMENT.fullmatch(text):
            return None
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).date()
    except ValueError:
        return None
    except OverflowError:  # in the first and the last year that Python knows, and no zone makes a difference there
        return moment.date()
