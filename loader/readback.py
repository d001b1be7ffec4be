"""Compares a record as it was sent with the record as the platform gives it back. Pure.

The platform cleans texts before it stores them: markup is removed, & < > and U+00A0 become character references, line
ends become LF, NUL is dropped. Then it strips those of the fields that the card names. What is left to compare is what
this makes of our text.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import nh3

from loader.card import Card, Field

# A pattern that finds the reference whatever the platform takes a backslash for: `_` is any one character.
_ANY_CHARACTER = "_"


class Proof(Enum):
    """What reading a record back has shown."""

    IDENTICAL = "identical"
    DIFFERS = "differs"
    NOT_VISIBLE = "not_visible"


def differing_fields(card: Card, sent: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields in which the stored record is not what was sent, in the order of the card."""
    return [field.name for field in card.fields if not _is_same(field, sent.get(field.name), stored.get(field.name))]


def sanitised(text: str) -> str:
    """Return what the platform stores of a text (API_CONTRACT, "Creating an incident"; seen to be that of nh3)."""
    return nh3.clean(text, tags=set())


def search_text(reference: str) -> str:
    """Return what to search for, so that the record of this reference is among what is found."""
    return reference.replace("\\", _ANY_CHARACTER)


def with_reference(items: Iterable[Mapping[str, Any]], key: str, reference: str) -> Mapping[str, Any] | None:
    """Return the record of exactly this reference: the search finds it anywhere, in any case, and in other fields."""
    return next((item for item in items if item.get(key) == reference), None)


def _is_same(field: Field, sent: Any, stored: Any) -> bool:
    if sent is None:
        # The platform fills an enum that is not sent with its own default.
        return stored is None or field.enum_values is not None
    if not isinstance(stored, str):
        return False
    if field.is_key or field.enum_values is not None:
        return bool(sent == stored)
    if field.format == "date":
        return _is_same_moment(str(sent), stored)
    text = sanitised(str(sent))
    return (text.strip() if field.is_stripped else text) == stored


def _is_same_moment(sent: str, stored: str) -> bool:
    try:
        return _moment(sent) == _moment(stored)
    except ValueError:
        return sent == stored


def _moment(text: str) -> datetime:
    """Return an ISO date or date-time; one without a zone is UTC, as for the platform."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
