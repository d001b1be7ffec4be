"""The entity cards, read from the models' yml: what an entity's fields are, before any database is there."""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from loader.config import ROOT
from loader.errors import Refused

MODELS = ROOT / "dbt_project" / "models"
ENUM_MAP = ROOT / "data" / "reference" / "enum_map.csv"


@dataclass(frozen=True)
class Field:
    """One field of the API's create body, as the card describes it; lengths in code points.

    `counts` is `escaped` where the API counts after it has escaped HTML; `has_default` says that a blank cell is sent
    as a value of `enum_map.csv`.
    """

    name: str
    source_column: str
    is_required: bool
    is_key: bool
    max_length: int | None
    format: str | None
    enum_values: tuple[str, ...] | None
    counts: str = "characters"
    has_default: bool = False

    @property
    def is_always_sent(self) -> bool:
        """Tell whether no record goes without this field."""
        return self.is_required or self.has_default


@dataclass(frozen=True)
class Card:
    """One entity: where it is created and the fields of its create body, in the order of the contract."""

    entity: str
    endpoint: str
    create_schema: str
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
    """Return the names of the entities that have a card: the yml files of the models folder."""
    return sorted(path.stem for path in MODELS.glob("*.yml") if not path.stem.startswith("_"))


def read_card(entity: str) -> Card:
    """Return the card of an entity.

    Raises:
        Refused: there is no such card.

    """
    if entity not in entities():
        raise Refused(f"unknown entity type {entity!r}; there are cards for: {', '.join(entities())}")
    models = yaml.safe_load((MODELS / f"{entity}.yml").read_text(encoding="utf-8"))["models"]
    model = next(model for model in models if model.get("config", {}).get("meta", {}).get("entity") == entity)
    meta = model["config"]["meta"]
    targets, defaults = _enum_targets(ENUM_MAP, entity)
    columns = [column for column in model["columns"] if "source_column" in _meta(column)]
    return Card(
        entity,
        meta["endpoint"],
        meta["create_schema"],
        model["name"],
        tuple(_field(column, targets, defaults) for column in columns),
    )


def _meta(column: dict[str, Any]) -> dict[str, Any]:
    meta: dict[str, Any] = column.get("config", {}).get("meta", {})
    return meta


def _field(column: dict[str, Any], targets: dict[str, set[str]], defaults: set[str]) -> Field:
    meta = _meta(column)
    return Field(
        name=column["name"],
        source_column=meta["source_column"],
        is_required={"type": "not_null"} in column.get("constraints", []),
        is_key=meta.get("is_key", False),
        max_length=meta.get("max_length"),
        format=meta.get("format"),
        enum_values=tuple(sorted(targets[column["name"]])) if meta.get("enum") else None,
        counts=meta.get("counts", "characters"),
        has_default=bool(meta.get("enum")) and column["name"] in defaults,
    )


def _enum_targets(path: Path, entity: str) -> tuple[dict[str, set[str]], set[str]]:
    """Return the API's values by field, and the fields that have one for a blank cell."""
    targets: dict[str, set[str]] = {}
    defaults = set()
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["entity"] == entity:
                targets.setdefault(row["field"], set()).add(row["api_value"])
                if not row["source_value"].strip():
                    defaults.add(row["field"])
    return targets, defaults
