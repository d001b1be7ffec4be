"""Writes a seeded file of records: most are sound, one in a hundred (or none) is wrong in one of several ways.

Columns, limits and known values come from the entity's card; no name of a field stands here.
"""

import csv
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from loader.card import ENUM_MAP, Card, Field, read_card

SEED = 1180
BAD_EVERY = 100
WORDS = re.findall(
    r"\w+",
    "forklift racking pallet operator spill drain crane sling torque wheel badge gate inspection shift batch valve "
    "pressure alarm guard fence handrail stair ladder hose fume weld",
)
LONG_TEXT = 1000  # a field with a higher limit than this is the narrative
Record = list[str]


def write_records(path: Path, entity: str, records: int, bad_every: int = BAD_EVERY, seed: int = SEED) -> None:
    """Write the file whole or not at all; the same arguments give the same bytes. A `bad_every` of 0: all are sound."""
    draw, card, temporary = random.Random(seed), read_card(entity), path.with_suffix(".part")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.source_column for field in card.fields])
        for line in _lines(draw, card, records, bad_every):
            file.write(line) if isinstance(line, str) else writer.writerow(line)
    temporary.rename(path)


def _lines(draw: random.Random, card: Card, records: int, bad_every: int) -> Iterator[Record | str]:
    values, damages = _values(card), _damages(card)
    before: Record = []
    for number in range(1, records + 1):
        record = [_cell(draw, field, values.get(field.name), number) for field in card.fields]
        if bad_every and number % bad_every == 0:
            kind = draw.choice(damages)
            yield kind(record, before)
        else:
            yield record
        before = record


def _values(card: Card) -> dict[str, list[str]]:
    """Return the source values of every enum field, the blank one too."""
    values: dict[str, list[str]] = {}
    with ENUM_MAP.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["entity"] == card.entity:
                values.setdefault(row["field"], []).append(row["source_value"])
    return values


def _cell(draw: random.Random, field: Field, values: list[str] | None, number: int) -> str:
    if field.is_key:
        return f"EXT-{number:09d}"
    if values:
        value = draw.choice(values)
        return draw.choices([value, value.title()], [4, 1])[0]
    if field.format == "date":
        return f"20{draw.randint(20, 25)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
    if (field.max_length or 0) > LONG_TEXT:
        return _narrative(draw)
    text = " ".join(draw.choices(WORDS, k=4)).capitalize()
    return draw.choices([text, f" {text} "], [98, 2])[0]


def _narrative(draw: random.Random) -> str:
    words = draw.choices(WORDS, k=20)
    word = words[5]
    words[5] = draw.choices([word, f"{word},", f"{word}.\nThen", f'"{word}"'], [55, 30, 10, 5])[0]
    return " ".join(words).capitalize() + "."


def _damages(card: Card) -> list[Callable[[Record, Record], Any]]:
    """Return the ways to be wrong: each takes a record and the one before it, and returns a record or a line."""
    key = next(at for at, field in enumerate(card.fields) if field.is_key)
    date = next(at for at, field in enumerate(card.fields) if field.format == "date")
    enum = next(at for at, field in enumerate(card.fields) if field.enum_values)
    text = next(at for at, field in enumerate(card.fields) if field.is_required and at not in (key, date))
    cells = [
        (text, ""),
        (text, "x" * 400),
        (text, "Loose <b>handrail</b> & gate"),
        (text, "Bell\x07 in the text"),
        (enum, "volcano"),
        (date, "15/01/2026"),
        (date, "2025-02-30"),
        (date, "2199-01-01"),
    ]
    return [
        *(_with_cell(at, cell) for at, cell in cells),
        lambda record, _: _with_cell(key, "INC-2025-" + record[key][4:])(record, record),
        lambda record, _: _with_cell(key, "R" * 16 + record[key])(record, record),
        lambda _, before: before,
        lambda record, before: _with_cell(key, before[key])(record, before),
        lambda record, _: record[:-1],
        lambda record, _: [*record, "extra"],
        lambda record, _: f'{record[0]} "bare"{"," * (len(record) - 1)}\n',
    ]


def _with_cell(at: int, cell: str) -> Callable[[Record, Record], Record]:
    return lambda record, _: [*record[:at], cell, *record[at + 1 :]]
