"""What the sandbox knows of an entity: one description in `entities/`, named after it. A new one needs no code."""

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Withdrawn = frozenset[tuple[str, str]]


class _Part(BaseModel):
    """A part of a description; a misspelt word in it is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(_Part):
    """A field of the body. One that is neither required nor has a `default` may be null.

    Lengths are in characters, after the `cleaning`. A day after today, in UTC, is a 422 where it `is_past`, and so is
    what is not among the `values` of an `enum`; that is its name in the OpenAPI document, and `meaning` what it says
    there.
    """

    type: Literal["text", "date", "email"] = "text"
    is_required: bool = False
    default: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    cleaning: Literal["sanitise", "sanitise and strip"] | None = None
    is_past: bool = False
    enum: str | None = None
    meaning: str | None = None
    values: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _default_is_a_value(self) -> Self:
        if self.enum and self.default not in (None, *self.values):
            raise ValueError(f"{self.default} is not a value of {self.enum}")
        return self

    @property
    def is_nullable(self) -> bool:
        """Tell whether the body may have null for it."""
        return not self.is_required and self.default is None


class Permission(_Part):
    """A 403 for a caller without the permission `name`; when it `is_for_the_key`, only a body with a key needs it."""

    kind: Literal["permission"]
    name: str
    is_for_the_key: bool = False
    message: str | None = None


class Body(_Part):
    """A 422 for a body that the fields do not allow."""

    kind: Literal["body"]


class Duplicate(_Part):
    """A 409 for a key that is there already: its `message`, with `{key}` in it, and its `details`.

    Of those it knows `existing_id`, the id of the record that is there, and the key under the name of its field.
    """

    kind: Literal["duplicate"]
    message: str
    details: tuple[str, ...] = ()


Check = Annotated[Permission | Body | Duplicate, Field(discriminator="kind")]


class Key(_Part):
    """The field by which duplicates are known, for all tenants together, and how many characters its column holds."""

    field: str
    width: int


class Number(_Part):
    """The field that the platform numbers, `<prefix>-<year>-NNNN`, where the body does not give it."""

    field: str
    prefix: str


class Entity(_Part):
    """One kind of record: where it is created, how its body is checked, how it is stored and listed.

    `fixed` are fields that are no input and the value each begins with. `order` is that of a list, in SQL. A list whose
    entity has no `searched` fields ignores `search`.
    """

    name: str
    plural: str
    path: str = Field(pattern=r"^/api/.*/$")
    meaning: str
    is_limited: bool = True
    read: str
    checks: tuple[Check, ...]
    key: Key
    number: Number
    fixed: dict[str, str] = {}
    searched: tuple[str, ...] = ()
    order: str
    fields: dict[str, Input]

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        details = {name for check in self.checks if isinstance(check, Duplicate) for name in check.details}
        unknown = {self.key.field, *self.searched} - set(self.fields) | details - {self.key.field, "existing_id"}
        if unknown:
            raise ValueError(f"no field here is called {', '.join(sorted(unknown))}")
        kinds = [check.kind for check in self.checks]
        if kinds.count("body") != 1:
            raise ValueError("one of the checks is of the body")
        early = self.checks[: kinds.index("body")]
        if any(
            isinstance(check, Duplicate) or (isinstance(check, Permission) and check.is_for_the_key) for check in early
        ):
            raise ValueError("the key is known once the body is checked")
        return self

    @property
    def title(self) -> str:
        """Give the name as the platform's texts have it."""
        return self.name.title().replace("_", "")

    @property
    def columns(self) -> tuple[str, ...]:
        """Give the columns of its records, without those that every record has, in the order of an answer."""
        number = () if self.number.field in self.fields else (self.number.field,)
        return (*number, *self.fields, *self.fixed)

    @property
    def permissions(self) -> tuple[str, ...]:
        """Give the permissions that its requests ask for."""
        return (self.read, *(check.name for check in self.checks if isinstance(check, Permission)))

    @property
    def enums(self) -> dict[str, tuple[str, ...]]:
        """Give the values of each field that has a list of them."""
        return {name: field.values for name, field in self.fields.items() if field.enum}


def read_entities(folder: Path) -> dict[str, Entity]:
    """Read every description of a folder, by the entity's name; raises `ValueError` for one that makes no sense."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.yml"))}


def _read(path: Path) -> Entity:
    try:
        return Entity.model_validate({"name": path.stem} | yaml.safe_load(path.read_text("utf-8")))
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {error}") from error


def entity_at(path: str) -> Entity | None:
    """Give the entity that a request's path is of: its list, with or without the slash at the end, or one record."""
    return next((entity for entity in ENTITIES.values() if f"{path}/".startswith(entity.path)), None)


ENTITIES = read_entities(Path(__file__).parent / "entities")
