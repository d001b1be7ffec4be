"""The body of POST incidents: its fields, and how the platform checks and cleans them."""

import json
from datetime import UTC, datetime
from email.message import Message
from enum import StrEnum
from typing import Annotated, Any

import nh3
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from sandbox.errors import ApiError, validation_error

Withdrawn = frozenset[tuple[str, str]]


class IncidentType(StrEnum):
    """Kind of incident."""

    injury = "injury"
    near_miss = "near_miss"
    hazard = "hazard"
    property_damage = "property_damage"
    environmental = "environmental"
    security = "security"
    quality = "quality"
    other = "other"


class IncidentSeverity(StrEnum):
    """Severity of an incident."""

    critical = "critical"
    high = "high"
    medium = "medium"
    low = "low"
    negligible = "negligible"


class IncidentStatus(StrEnum):
    """Stage of an incident's handling."""

    reported = "reported"
    under_investigation = "under_investigation"
    pending_actions = "pending_actions"
    actions_in_progress = "actions_in_progress"
    pending_review = "pending_review"
    closed = "closed"


ENUM_FIELDS: dict[str, type[StrEnum]] = {
    "incident_type": IncidentType,
    "severity": IncidentSeverity,
    "status": IncidentStatus,
}


def sanitise(value: object) -> object:
    """Escape and strip markup from a string; anything else is left for the type check to refuse."""
    return nh3.clean(value, tags=set()) if isinstance(value, str) else value


def sanitise_and_strip(value: object) -> object:
    """Sanitise a string, then remove the white space at its ends."""
    cleaned = sanitise(value)
    return cleaned.strip() if isinstance(cleaned, str) else cleaned


# The cleaning runs first, so lengths are those of the escaped text.
LongText = Annotated[str, BeforeValidator(sanitise)]
ShortText = Annotated[str, Field(max_length=300), BeforeValidator(sanitise)]
Title = Annotated[str, Field(min_length=1, max_length=300), BeforeValidator(sanitise_and_strip)]


class IncidentCreate(BaseModel):
    """One incident as posted; unknown fields are dropped without a word."""

    # 50 is what the platform publishes; its column holds 20, and the 500 that follows is the store's.
    reference_number: Annotated[str, Field(max_length=50)] | None = None
    title: Title
    description: LongText
    incident_date: datetime
    incident_type: IncidentType = IncidentType.other
    severity: IncidentSeverity = IncidentSeverity.medium
    status: IncidentStatus = IncidentStatus.reported
    location: ShortText | None = None

    @field_validator(*ENUM_FIELDS, mode="before")
    @classmethod
    def _refuse_withdrawn(cls, value: object, info: ValidationInfo) -> object:
        withdrawn: Withdrawn = (info.context or {}).get("withdrawn", frozenset())
        if isinstance(value, str) and (info.field_name, value) in withdrawn:
            raise PydanticCustomError("enum", "Input should be a value that is still in use")
        return value

    @field_validator("incident_date")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        try:
            moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except OverflowError as error:
            raise ValueError("date out of range") from error
        if moment.date() > datetime.now(UTC).date():
            raise ValueError("incident_date cannot be in the future")
        return moment


def parse_incident(content_type: str, body: bytes, withdrawn: Withdrawn) -> dict[str, Any]:
    """Check a request body and give its columns, ready to store (date as ISO text in UTC).

    Raises a 422 `ApiError` that names each offending field. A body that is not announced as JSON is
    refused as a whole, as the platform's framework does.
    """
    try:
        incident = IncidentCreate.model_validate(
            _decode(content_type, body), from_attributes=True, context={"withdrawn": withdrawn}
        )
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise validation_error([dict(item) for item in found], ("body",)) from error
    return incident.model_dump(mode="json")


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
