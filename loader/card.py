"""The entity cards, read from the payload models' yml: what an entity's fields are, before any database is there."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from loader.config import ROOT
from loader.errors import Refused

_ENUM_COLUMNS = ("entity", "field", "source_value", "api_value")
CARDS = ROOT / "dbt_project" / "models" / "payload"
# The same loader in C where PyYAML has it: 6 ms in place of 80, in every command.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FIX = "correct it, or restore the file of the repository"
ENUM_MAP = ROOT / "data" / "reference" / "enum_map.csv"


class LookUpBy(Enum):
    """How a record that is on the platform already is found: by its key in the list, or by the id that a 409 names."""

    SEARCH = "search"
    EXISTING_ID = "existing_id"


@dataclass(frozen=True)
class Field:
    """One field of the API's create body, as the card describes it; lengths in code points.

    `counts` is `escaped` where the API counts after it has escaped HTML; `default` is what is sent for a blank cell, of
    an enum by `enum_map.csv`; `is_sanitised` says that the platform takes markup out of the text and escapes what is
    left, `is_stripped` that it strips it after that.
    """

    name: str
    source_column: str
    is_required: bool
    is_key: bool
    max_length: int | None
    format: str | None
    enum_values: tuple[str, ...] | None
    counts: str = "characters"
    min_length: int | None = None
    default: str | None = None
    is_sanitised: bool = False
    is_stripped: bool = False

    @property
    def is_always_sent(self) -> bool:
        """Tell whether no record goes without this field."""
        return self.is_required or self.default is not None


@dataclass(frozen=True)
class Card:
    """One entity: where it is created and the fields of its create body, in the order of the contract.

    `list_path` is that of the list and, with the platform's id behind it, of one record. `look_up` says how a record
    that is there already is found. `create_permissions` are in the order in which the platform asks for them.
    """

    path: Path
    entity: str
    endpoint: str
    list_path: str
    create_schema: str
    look_up: LookUpBy
    read_permission: str
    create_permissions: tuple[str, ...]
    payload_model: str
    fields: tuple[Field, ...]

    @cached_property
    def key(self) -> str:
        """Name of the field that makes creation idempotent."""
        return next(field.name for field in self.fields if field.is_key)

    @cached_property
    def source_columns(self) -> dict[str, bool]:
        """Return the source columns, and of each whether a file cannot be landed without it."""
        return {field.source_column: field.is_required for field in self.fields}


def entities() -> list[str]:
    """Return the names of the entities that have a card, in the order of their names.

    Raises:
        Refused: a file of the cards is malformed; names it.

    """
    return sorted(_models())


def read_card(entity: str) -> Card:
    """Return the card of an entity.

    Raises:
        Refused: there is no such card, or it or the map of enum values is malformed; names the file.

    """
    models = _models()
    if entity not in models:
        raise Refused(f"unknown entity type {entity!r}; there are cards for: {', '.join(sorted(models))}")
    path, model = models[entity]
    with _named(path):
        return _card(path, entity, model)


def _models() -> dict[str, tuple[Path, dict[str, Any]]]:
    """Return the models that are cards, by the entity that their meta names, each with its file."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in sorted(CARDS.glob("*.yml")):
        if path.stem.startswith("_"):
            continue
        with _named(path):
            models = yaml.load(path.read_text(encoding="utf-8"), _LOADER)["models"]  # noqa: S506 - a safe one
            cards = {entity: (path, model) for model in models if (entity := _meta(model).get("entity"))}
            if not cards:
                raise TypeError
        found |= cards
    return found


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in the refusal of what is malformed in it."""
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise Refused(
            f"{path}{line}: is not YAML ({getattr(error, 'problem', None) or 'unreadable'}); {_FIX}"
        ) from error
    except (KeyError, StopIteration, TypeError, AttributeError) as error:
        lacks = f"lacks {error.args[0]!r}" if isinstance(error, KeyError) else "is not the card of a model"
        raise Refused(f"{path}: {lacks}; {_FIX}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: cannot be read as UTF-8 text; {_FIX}") from error


def _card(path: Path, entity: str, model: dict[str, Any]) -> Card:
    meta = _meta(model)
    targets, defaults = _enum_targets(ENUM_MAP, entity)
    columns = [column for column in model["columns"] if "source_column" in _meta(column)]
    fields = tuple(_field(column, targets, defaults) for column in columns)
    if sum(field.is_key for field in fields) != 1:
        raise Refused(f"{path}: names no single field with is_key; {_FIX}")
    return Card(
        path,
        entity,
        meta["endpoint"],
        meta["list_path"],
        meta["create_schema"],
        _look_up(path, meta["look_up"]),
        meta["read_permission"],
        tuple(meta["create_permissions"]),
        model["name"],
        fields,
    )


def _look_up(path: Path, word: Any) -> LookUpBy:
    try:
        return LookUpBy(word)
    except ValueError:
        known = " or ".join(way.value for way in LookUpBy)
        raise Refused(f"{path}: look_up is {word!r}, not {known}; {_FIX}") from None


def _meta(described: dict[str, Any]) -> dict[str, Any]:
    """Return the meta of a model or of a column."""
    meta: dict[str, Any] = described.get("config", {}).get("meta", {})
    return meta


def _field(column: dict[str, Any], targets: dict[str, set[str]], defaults: dict[str, str]) -> Field:
    meta = _meta(column)
    is_key = meta.get("is_key", False)
    if meta.get("enum") and column["name"] not in targets:
        raise Refused(f"{ENUM_MAP}: has no line for {column['name']}, an enum field of the card; {_FIX}")
    return Field(
        name=column["name"],
        source_column=meta["source_column"],
        # Without a key of its own every run would create the record again, whatever the API allows.
        is_required=is_key or {"type": "not_null"} in column.get("constraints", []),
        is_key=is_key,
        max_length=meta.get("max_length"),
        min_length=meta.get("min_length"),
        format=meta.get("format"),
        enum_values=tuple(sorted(targets[column["name"]])) if meta.get("enum") else None,
        counts=meta.get("counts", "characters"),
        default=defaults.get(column["name"]) if meta.get("enum") else meta.get("default"),
        is_sanitised=meta.get("is_sanitised", False),
        is_stripped=meta.get("is_stripped", False),
    )


def _enum_targets(path: Path, entity: str) -> tuple[dict[str, set[str]], dict[str, str]]:
    """Return the API's values by field, and the one for a blank cell of each field that has one."""
    targets: dict[str, set[str]] = {}
    defaults: dict[str, str] = {}
    for row in _enum_rows(path):
        if row["entity"] == entity:
            targets.setdefault(row["field"], set()).add(row["api_value"])
            if not row["source_value"].strip():
                defaults[row["field"]] = row["api_value"]
    return targets, defaults


def _enum_rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            for row in rows:
                if None in row or None in row.values() or not set(_ENUM_COLUMNS) <= row.keys():
                    raise Refused(f"{path}:{rows.line_num}: has not the columns {', '.join(_ENUM_COLUMNS)}; {_FIX}")
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path}: cannot be read as CSV in UTF-8 ({error}); {_FIX}") from error
