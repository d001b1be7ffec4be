"""The rules of the loop: what the card, the enum map and the issue codes say, tried on one cell after the other."""

import csv
import difflib
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from loader.card import ENUM_MAP, MODELS, Card, Field

Issue = dict[str, Any]
WHITE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + "\ufeff"
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
HTML = re.compile(r"<[A-Za-z/!]")
RESERVED = re.compile(r"INC-\d{4}-\d+")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})")
JOINS_THE_ONE_BEFORE = re.compile("[\u0300-\u036f\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")


class Rules:
    """What the card, the enum map and the issue codes say, in the shape that the loop looks up."""

    def __init__(self, card: Card) -> None:
        models = yaml.safe_load((MODELS / f"{card.entity}.yml").read_text(encoding="utf-8"))["models"]
        columns = next(model for model in models if model["name"] == card.payload_model)["columns"]
        metas = {column["name"]: column.get("config", {}).get("meta", {}) for column in columns}
        self.card, self.today = card, datetime.now(UTC).date()
        self.escaped = {name for name, meta in metas.items() if meta.get("counts") == "escaped"}
        self.truncated = {name for name, meta in metas.items() if meta.get("on_too_long") == "truncate"}
        self.enums = {field.name: dict[str, str]() for field in card.fields if field.enum_values}
        for row in _table(ENUM_MAP):
            if row["entity"] == card.entity:
                self.enums[row["field"]][row["source_value"]] = row["api_value"]
        self.codes = {row["code"]: row for row in _table(ENUM_MAP.with_name("issue_codes.csv"))}
        self.suggestions: dict[tuple[str, str], str] = {}

    def issue(self, code: str, field: Field | None, value: str = "", count: int = 0, limit: int = 0) -> Issue:
        """Return the issue with its message and remedy filled in."""
        known = self.codes.get(code, {"severity": "error", "message": code, "how_to_fix": code})
        filling = {
            "{entity}": self.card.entity,
            "{field}": field.name if field else "",
            "{source_column}": field.source_column if field else "",
            "{count}": str(count),
            "{limit}": str(limit),
            "{value}": value[:80],
        }
        message, remedy = known["message"], known["how_to_fix"]
        for placeholder, text in filling.items():
            message, remedy = message.replace(placeholder, text), remedy.replace(placeholder, text)
        return {
            "code": code,
            "severity": known["severity"],
            "field": filling["{field}"],
            "value": value,
            "message": message,
            "how_to_fix": remedy,
            "suggestion": self._suggestion(field.name, value) if field and code == "unknown_enum" else "",
        }

    def _suggestion(self, field: str, value: str) -> str:
        if (field, value) not in self.suggestions:
            close = difflib.get_close_matches(value.lower(), self.enums[field], n=1)
            self.suggestions[field, value] = close[0] if close else ""
        return self.suggestions[field, value]

    def counted(self, field: Field, text: str) -> int:
        """Return the length as the API counts it: after HTML escaping where the card says so."""
        if field.name not in self.escaped:
            return len(text)
        escapes = 4 * text.count("&") + 3 * (text.count("<") + text.count(">")) + 5 * text.count("\xa0")
        return len(text) + escapes

    def fitted(self, field: Field, text: str, limit: int) -> str:
        """Return the longest beginning that fits, not ending before a sign that joins the one before."""
        end = min(len(text), limit)
        while self.counted(field, text[:end]) > limit or JOINS_THE_ONE_BEFORE.match(text, end):
            end -= 1
        return text[:end]

    def staged(self, field: Field, cell: str, issues: list[Issue]) -> tuple[str, str]:
        """Return the clean value and the rule that changed the cell, if any; add what is wrong with it to `issues`."""
        text, rule = cell.strip(WHITE), "trimmed"
        if (mapped := self.enums.get(field.name)) is not None:
            value, rule = mapped.get(text.lower()), "mapped" if text else "default"
            if value is None:
                issues.append(self.issue("unknown_enum", field, text))
            return value or text, rule
        if not text:
            if field.is_required:
                issues.append(self.issue("required", field))
            return text, rule
        if field.max_length and (size := self.counted(field, text)) > field.max_length:
            shortened = field.name in self.truncated
            issues.append(self.issue("truncated" if shortened else "too_long", field, text, size, field.max_length))
            if shortened:
                text, rule = self.fitted(field, text, field.max_length), "truncated"
        self._check_content(field, text, issues)
        return text, rule

    def _check_content(self, field: Field, text: str, issues: list[Issue]) -> None:
        if CONTROL.search(text):
            issues.append(self.issue("control_characters", field, text))
        if HTML.search(text):
            issues.append(self.issue("contains_html", field, text))
        if field.is_key and RESERVED.fullmatch(text):
            issues.append(self.issue("reserved_reference", field, text))
        if field.format == "date":
            day = utc_date(text)
            if day is None:
                issues.append(self.issue("invalid_date", field, text))
            elif day > self.today:
                issues.append(self.issue("date_in_future", field, text))


def utc_date(text: str) -> date | None:
    """Return the UTC day of YYYY-MM-DD or of a date-time with a zone; None for anything else."""
    try:
        if DAY.fullmatch(text):
            return date.fromisoformat(text)
        return datetime.fromisoformat(text).astimezone(UTC).date() if MOMENT.fullmatch(text) else None
    except ValueError:
        return None


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
