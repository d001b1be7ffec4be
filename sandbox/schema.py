"""The body of a POST: its fields, and how the platform checks and cleans them."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import Message
from enum import StrEnum
from typing import Annotated, Any

import nh3
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    EmailStr,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
)
from pydantic_core import PydanticCustomError

from sandbox.entity import Entity, Input, Withdrawn
from sandbox.errors import ApiError, validation_error

Record = dict[str, Any]
Cleaning = Callable[[object], object]


def sanitise(value: object) -> object:
    """Escape and strip markup from a string; anything else is left for the type check to refuse."""
    return nh3.clean(value, tags=set()) if isinstance(value, str) else value


def sanitise_and_strip(value: object) -> object:
    """Sanitise a string, then remove the white space at its ends."""
    cleaned = sanitise(value)
    return cleaned.strip() if isinstance(cleaned, str) else cleaned


_TYPES = {"text": str, "date": datetime, "email": EmailStr}
_CLEANINGS: dict[str, Cleaning] = {"sanitise": sanitise, "sanitise and strip": sanitise_and_strip}


class Schema:
    """The bodies of one entity's creates; unknown fields are dropped without a word."""

    def __init__(self, entity: Entity) -> None:
        """Make the model that the entity's description asks for."""
        fields: dict[str, Any] = {name: _typed(name, field) for name, field in entity.fields.items()}
        self.model: type[BaseModel] = create_model(f"{entity.title}Create", __doc__=entity.meaning, **fields)

    def parse(self, content_type: str, body: bytes, withdrawn: Withdrawn) -> Record:
        """Check a request body and give its columns, ready to store (dates as ISO text in UTC).

        Raises a 422 `ApiError` that names each offending field. A body that is not announced as JSON is
        refused as a whole, as the platform's framework does.
        """
        try:
            return self.stored(_decode(content_type, body), withdrawn)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            raise validation_error([dict(item) for item in found], ("body",)) from error

    def stored(self, document: object, withdrawn: Withdrawn = frozenset()) -> Record:
        """Give what is stored of a document; raises pydantic's `ValidationError`."""
        record = self.model.model_validate(document, from_attributes=True, context={"withdrawn": withdrawn})
        return record.model_dump(mode="json")


def _typed(name: str, field: Input) -> tuple[Any, Any]:
    """Give the type and the default of a field, as pydantic takes them."""
    kind, default = _kind_of(field), ... if field.is_required else field.default
    if field.enum and default is not ...:
        default = kind(default)
    typed: Any = Annotated[kind, *_checks_of(name, field)]
    return (typed | None if field.is_nullable else typed), default


def _kind_of(field: Input) -> Any:
    if not field.enum:
        return _TYPES[field.type]
    make: Any = StrEnum
    kind = make(field.enum, [(value, value) for value in field.values])
    kind.__doc__ = field.meaning
    return kind


def _checks_of(name: str, field: Input) -> Iterator[Any]:
    yield Field(min_length=field.min_length, max_length=field.max_length)
    if field.type == "date":
        yield AfterValidator(_in_utc)
    if field.is_past:
        yield AfterValidator(_refusing_future(name))
    if field.enum:
        yield BeforeValidator(_refusing_withdrawn(name))
    # The cleaning runs before the type's own checks, so lengths are those of the escaped text.
    if field.cleaning:
        yield BeforeValidator(_CLEANINGS[field.cleaning])


def _refusing_withdrawn(name: str) -> Callable[[object, ValidationInfo], object]:
    def checked(value: object, info: ValidationInfo) -> object:
        withdrawn: Withdrawn = (info.context or {}).get("withdrawn", frozenset())
        if isinstance(value, str) and (name, value) in withdrawn:
            raise PydanticCustomError("enum", "Input should be a value that is still in use")
        return value

    return checked


def _in_utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("date out of range") from error


def _refusing_future(name: str) -> Callable[[datetime], datetime]:
    def checked(value: datetime) -> datetime:
        if value.date() > datetime.now(UTC).date():
            raise ValueError(f"{name} cannot be in the future")
        return value

    return checked


def _decode(content_type: str, body: bytes) -> object:
    if not body:
        raise _refused("missing", "Field required")
    if not _is_json(content_type):
        return body
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise _refused("json_invalid", "JSON decode error", error.pos) from error
    except UnicodeDecodeError as error:
        raise _refused("json_invalid", "JSON decode error", error.start) from error


def _is_json(content_type: str) -> bool:
    header = Message()
    header["content-type"] = content_type
    kind = header.get_content_subtype()
    return header.get_content_maintype() == "application" and (kind == "json" or kind.endswith("+json"))


def _refused(kind: str, message: str, *location: int) -> ApiError:
    return validation_error([{"loc": ("body", *location), "msg": message, "type": kind}])
