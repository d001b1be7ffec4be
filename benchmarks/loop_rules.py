"""The rules of the loop: what the card, the enum map and the issue codes say, tried on one cell after the other."""

import csv
import difflib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.loop_reader import Malformed, Repeat
from benchmarks.loop_text import (
    CONTROL,
    DAMAGED,
    EARLIEST_YEAR,
    ERROR_TEXT,
    HTML,
    LONGEST_ESCAPE,
    LONGEST_PLACEHOLDER,
    LOST_LETTER,
    NUMBER,
    PLACEHOLDER,
    TAG,
    UNPRINTABLE,
    UNUSUAL,
    WHITE,
    escaped_length,
    excerpt,
    fitted,
    folded_value,
    utc_date,
)
from loader.card import CARDS, ENUM_MAP, Card, Field

Issue = dict[str, Any]


class Rules:
    """What the card, the enum map and the issue codes say, in the shape that the loop looks up."""

    def __init__(self, card: Card) -> None:
        self.zeros = 0  # the length of the longest reference of the file that begins with zeros
        models = yaml.safe_load((CARDS / f"{card.entity}.yml").read_text(encoding="utf-8"))["models"]
        columns = next(model for model in models if model["name"] == card.payload_model)["columns"]
        metas = {column["name"]: column.get("config", {}).get("meta", {}) for column in columns}
        self.card, self.today = card, datetime.now(UTC).date()
        self.key = next(field for field in card.fields if field.is_key)
        self.header = {field.name: field.source_column for field in card.fields if field.is_required}
        self.escaped = {name for name, meta in metas.items() if meta.get("counts") == "escaped"}
        self.truncated = {name for name, meta in metas.items() if meta.get("on_too_long") == "truncate"}
        self.with_future = {name for name, meta in metas.items() if meta.get("allows_future")}
        self.reserved = re.compile(metas[card.key].get("reserved", "(?!)"), re.ASCII | re.IGNORECASE)
        self.enums = {field.name: dict[str, str]() for field in card.fields if field.enum_values}
        for row in _table(ENUM_MAP):
            if row["entity"] == card.entity:
                self.enums[row["field"]][folded_value(row["source_value"].strip(WHITE))] = row["api_value"]
        self.codes = {row["code"]: row for row in _table(ENUM_MAP.with_name("issue_codes.csv"))}
        self.suggestions: dict[tuple[str, str], str] = {}
        self.checks = [(field, field.source_column, self._check_of(field)) for field in card.fields]

    def _check_of(self, field: Field) -> Any:
        if field.is_key:
            return self._key
        if field.enum_values:
            return self._enum
        return self._date if field.format == "date" else self._text

    def judged(
        self, row: dict[str, str], repeat: Repeat | None, line: int
    ) -> tuple[dict[str, str], list[tuple[str, ...]], list[Issue]]:
        """Return the clean values of a record, the cells that cleaning changed, and what is wrong with the record."""
        values, changes, issues = dict[str, str](), list[tuple[str, ...]](), list[Issue]()
        for field, column, check in self.checks:
            cell = row.get(column) or ""
            text = cell.strip(WHITE)
            value = values[field.name] = check(field, text, issues)
            if field.is_required and not value:
                issues.append(self.issue("required", field))
            elif field.is_required and check == self._text and self._is_lost(field, value):
                detail = f": the platform keeps nothing of '{excerpt(value)}'"
                issues.append(self.issue("required", field, value, detail=detail))
            if value != cell:
                changes.append((field.name, cell, value, self._change(field, text, value)))
        if repeat:
            self._repeats(values[self.key.name], repeat, line, issues)
        if values[self.key.name] in ("", self.key.source_column) and (code := self._sole(row, values)):
            issues = [self.issue(code)]
        return values, changes, issues

    def malformed(self, record: Malformed, columns: int) -> Issue:
        """Return the issue of a record that could not be read."""
        return self.issue(record.code, None, record.text, record.cells, columns)

    def issue(
        self, code: str, field: Field | None = None, value: str = "", count: int = 0, limit: int = 0, detail: str = ""
    ) -> Issue:
        """Return the issue with its message and remedy filled in."""
        known, name, suggestion = self.codes[code], field.name if field else "", ""
        if field and code == "unknown_enum" and (suggestion := self._suggestion(name, folded_value(value))):
            detail = f"; the nearest one is '{suggestion}', which is sent as '{self.enums[name][suggestion]}'"
        filling = {
            "{entity}": self.card.entity,
            "{field}": name,
            "{source_column}": field.source_column if field else "",
            "{count}": str(count),
            "{limit}": str(limit),
            "{detail}": detail,
            "{value}": excerpt(value),
        }
        message, remedy = known["message"], known["how_to_fix"]
        for placeholder, text in filling.items():
            message, remedy = message.replace(placeholder, text), remedy.replace(placeholder, text)
        explained = {"value": value[:80], "message": message, "how_to_fix": remedy, "suggestion": suggestion}
        return {"code": code, "stage": known["stage"], "severity": known["severity"], "field": name} | explained

    def _suggestion(self, field: str, value: str) -> str:
        if (field, value) not in self.suggestions:
            close = difflib.get_close_matches(value, self.enums[field], n=1)
            self.suggestions[field, value] = close[0] if close else ""
        return self.suggestions[field, value]

    def _change(self, field: Field, text: str, value: str) -> str:
        if not value:
            return "trimmed"
        if not text:
            return "default"
        if text == value:
            return "trimmed"
        return "mapped" if field.name in self.enums else "truncated"

    def _sole(self, row: dict[str, str], values: dict[str, str]) -> str:
        """Return the code that makes every other finding noise, if any."""
        if all(values[name] == column for name, column in self.header.items()):
            return "repeated_header"
        return "" if any(cell.strip(WHITE) for cell in row.values()) else "blank_record"

    def _repeats(self, reference: str, repeat: Repeat, line: int, issues: list[Issue]) -> None:
        if repeat.rival_line:
            issues.append(self.issue("near_duplicate_reference", self.key, reference, repeat.rival_line))
        if repeat.different > 1:
            issues.append(self.issue("conflicting_duplicate", self.key, reference, repeat.different))
        elif repeat.first_line < line:
            issues.append(self.issue("duplicate_reference", None, "", repeat.first_line))

    def _enum(self, field: Field, text: str, issues: list[Issue]) -> str:
        mapped = self.enums[field.name].get(folded_value(text))
        if mapped is not None:
            return mapped
        if text not in (field.enum_values or ()):
            issues.append(self.issue("unknown_enum", field, text))
        return text

    def _key(self, field: Field, text: str, issues: list[Issue]) -> str:
        text = self._sized(field, text, issues)
        if DAMAGED.fullmatch(text):
            issues.append(self.issue("damaged_reference", field, text, detail="is damaged"))
        if text[:1] != "0" and len(text) < self.zeros and NUMBER.fullmatch(text):
            issues.append(self.issue("lost_leading_zeros", field, text, self.zeros))
        if _is_placeholder(text):
            issues.append(self.issue("placeholder_text", field, text))
        if self.reserved.fullmatch(text):
            issues.append(self.issue("reserved_reference", field, text))
        if not text.isprintable() and (found := UNPRINTABLE.search(text)):
            issues.append(self.issue("unprintable_reference", field, text, detail=_named(found)))
        return text

    def _date(self, field: Field, text: str, issues: list[Issue]) -> str:
        day = utc_date(text)
        if day is None:
            if text:
                issues.append(self.issue("invalid_date", field, text, detail="is not a date that is accepted"))
        elif day > self.today and field.name not in self.with_future:
            issues.append(self.issue("date_in_future", field, text))
        elif text < str(EARLIEST_YEAR):
            issues.append(self.issue("date_long_ago", field, text, limit=EARLIEST_YEAR))
        return text

    def _text(self, field: Field, text: str, issues: list[Issue]) -> str:
        text = self._sized(field, text, issues)
        if field.is_required and text[:1] in "#E" and ERROR_TEXT.fullmatch(text):
            issues.append(self.issue("error_text", field, text))
        if field.is_required and _is_placeholder(text):
            issues.append(self.issue("placeholder_text", field, text))
        if UNUSUAL.search(text):
            if found := HTML.search(text):
                issues.append(self.issue("contains_html", field, found[0]))
            if found := CONTROL.search(text):
                issues.append(self.issue("control_characters", field, text, detail=_named(found)))
            if LOST_LETTER in text:
                issues.append(self.issue("replacement_character", field, text, text.index(LOST_LETTER) + 1))
        return text

    def _is_lost(self, field: Field, value: str) -> bool:
        """Tell whether the platform, which drops tags and strips some fields, would keep nothing."""
        bare = TAG.sub("", value).strip(WHITE) if "<" in value else value
        return not (bare.rstrip() if field.is_stripped else bare)

    def _sized(self, field: Field, text: str, issues: list[Issue]) -> str:
        """Return the text, shortened when it is too long and the card says so."""
        limit, size, is_escaped = field.max_length, len(text), field.name in self.escaped
        if is_escaped and limit and size * LONGEST_ESCAPE > limit:
            size = escaped_length(text)
        if not limit or size <= limit:
            return text
        shortened = fitted(text, limit, is_escaped=is_escaped) if field.name in self.truncated else ""
        issues.append(self.issue("truncated" if shortened else "too_long", field, text, size, limit))
        return shortened or text


def _is_placeholder(text: str) -> bool:
    return len(text.encode()) <= LONGEST_PLACEHOLDER and bool(PLACEHOLDER.fullmatch(text))


def _named(found: Any) -> str:
    return f"U+{ord(found[0]):04X} at character {found.start() + 1}"


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
