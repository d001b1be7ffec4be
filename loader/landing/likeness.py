"""Which column of a file is probably which of ours, and the `[sources.NAME]` table that says so, to be pasted."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

from loader.config import ROOT
from loader.errors import Refused
from loader.landing.dialect import Dialect

# What exports call our source columns, of all entities; dbt does not read it.
COLUMN_NAMES = ROOT / "data" / "reference" / "column_names.csv"
# So alike are two names of which one has a typing error; two words that only begin alike are less.
_LEAST_ALIKE = 0.85
_SHORTEST = 4
# A longer text is no name: it is not compared, and cut where it is shown.
_MOST_SIGNS, _SHOWN = 100, 20
_IDLE = frozenset({"of", "the", "a", "an", "for", "in", "on"})


def likely_columns(names: Sequence[str], wanted: Iterable[str]) -> dict[str, str]:
    """Return for each source column that is `wanted` the likeliest of a file's names, where one is likely at all.

    No name stands for two columns: the surest pair is taken first.
    """
    pairs = [
        (-sureness, at, place, ours, theirs)
        for place, ours in enumerate(wanted)
        for at, theirs in enumerate(names)
        if (sureness := _sureness(theirs, ours))
    ]
    found: dict[str, str] = {}
    for *_, ours, theirs in sorted(pairs):
        if ours not in found and theirs not in found.values():
            found[ours] = theirs
    return found


def profile_table(path: Path, names: Sequence[str], wanted: Mapping[str, bool], dialect: Dialect) -> str:
    """Return the `[sources.NAME]` table for a file with these names: the columns of the profile, and likely ones.

    `wanted` has our source columns, and of each whether it is required; a column that nothing fits is a comment.
    """
    called = {ours: theirs for theirs, ours in dialect.columns.items() if theirs in names and ours in wanted}
    open_ = [ours for ours in wanted if ours not in called]
    called |= likely_columns([name for name in names if name not in called.values()], open_)
    name = dialect.profile.name if dialect.profile else profile_name(path)
    table = f"sources.{name if re.fullmatch('[A-Za-z0-9_-]+', name) else _quoted(name)}"
    lines = [f"[{table}]"]
    lines += [f"delimiter = {_quoted(dialect.delimiter)}"] if dialect.delimiter != "," else []
    lines += [f"encoding = {_quoted(dialect.encoding)}"] if dialect.encoding else []
    lines += [f"sheet = {_quoted(dialect.sheet)}"] if dialect.sheet else []
    lines.append(f"[{table}.columns]")
    lines += [
        f"{_quoted(called[ours])} = {_quoted(ours)}" if ours in called else _open_line(ours, is_required=required)
        for ours, required in wanted.items()
        if called.get(ours) != ours
    ]
    if left := [name for name in names if name not in called.values()]:
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        lines.append(f"# not read: {', '.join(_quoted(name[:_MOST_SIGNS]) for name in left[:_SHOWN])}{more}")
    return "\n".join(lines)


def profile_name(path: Path) -> str:
    """Return a name for the profile of such a file: its own, in letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_") or "export"


def _open_line(ours: str, *, is_required: bool) -> str:
    what = "required" if is_required else "optional"
    return f'# "..." = {_quoted(ours)}  # {what}; no column of the file looks like it'


def _quoted(text: str) -> str:
    """Return a text as TOML writes it, in one line, without what a terminal would obey."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(sign if sign.isprintable() else f"\\U{ord(sign):08X}" for sign in escaped) + '"'


def _sureness(theirs: str, ours: str) -> float:
    """Return how sure it is that a file's name is this column of ours, 0 where it is not likely."""
    words, own = _words(theirs), _words(ours)
    letters = "".join(words)
    if not letters or len(theirs) > _MOST_SIGNS:
        return 0
    if letters == "".join(own):
        return 5
    also = _also_called().get(ours, [])
    if words in also:
        return 4 - also.index(words) / 1000
    if set(words) - _IDLE == set(own) - _IDLE:
        return 3
    # More words around ours, as in `Incident location (site)`.
    if _within(own, words) or any(_within(called, words) for called in also if len("".join(called)) >= _SHORTEST):
        return 2
    alike = SequenceMatcher(None, letters, "".join(own)).ratio()
    return alike if alike >= _LEAST_ALIKE else 0


def _within(few: tuple[str, ...], many: tuple[str, ...]) -> bool:
    return set(few) <= set(many)


@cache
def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name, without case, accents and punctuation; `IncidentNo` is two."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", parted) if not unicodedata.combining(sign))
    return tuple(re.findall(r"[^\W_]+", plain.casefold()))


@cache
def _also_called() -> dict[str, list[tuple[str, ...]]]:
    called: dict[str, list[tuple[str, ...]]] = {}
    try:
        with COLUMN_NAMES.open(encoding="utf-8", newline="") as file:
            for ours, theirs in list(csv.reader(file, strict=True))[1:]:
                called.setdefault(ours, []).append(_words(theirs))
    except (OSError, ValueError, csv.Error) as error:
        raise Refused(f"{COLUMN_NAMES}: cannot be read as CSV of two columns ({error}); restore it") from error
    return called
