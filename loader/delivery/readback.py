"""Reads records from the platform's list, and compares them with what was sent.

The platform cleans the texts that the card names before it stores them: markup is removed, & < > and U+00A0 become
character references, line ends become LF, NUL is dropped. Then it strips some of them. A record is compared with what
this makes of our text.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import nh3

from loader.api.answer import Answer, is_lost
from loader.api.client import Api
from loader.card import Card, Field
from loader.config import Delivery
from loader.delivery.pace import Pace
from loader.delivery.verdict import api_message, backoff
from loader.steps import Step, step

PAGE_RECORDS = 100
# A page of a hundred records with the longest descriptions that the card lets pass, each & of them as &amp;.
_MAX_PAGE_BYTES = 64 << 20
_NOT_OURS = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


@dataclass(frozen=True)
class Page:
    """One page: its records, and the number of all pages."""

    items: list[dict[str, Any]]
    pages: int


class Listing:
    """The list endpoint. `status` is the HTTP status of the last page."""

    def __init__(self, api: Api, card: Card, pace: Pace, delivery: Delivery) -> None:
        self._api = api
        self._card = card
        self._pace = pace
        self._delivery = delivery
        self.status: int | None = None

    def page(self, number: int, search: str | None = None) -> Page | None:
        """Return a page, newest record first; None when it cannot be had, and then the run may be stopping."""
        params: dict[str, str | int] = {"page": number, "page_size": PAGE_RECORDS}
        if search is not None:
            params["search"] = search
        answer = self._answer(self._card.list_path, params)
        if answer is None:
            return None
        items, pages = (answer.object().get(key) for key in ("items", "pages"))
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items) or type(pages) is not int:
            self._stop("200, but not a page of records: check the address")
            return None
        self._pace.answered()
        return Page(items, pages)

    def record(self, record_id: str) -> Answer | None:
        """Return the answer to a GET of one record, 403 or 404 where it is not ours to see; None as for a page."""
        return self._answer(self._card.list_path + quote(record_id, safe=""), None, _NOT_OURS)

    def _answer(self, path: str, params: dict[str, str | int] | None, also: Collection[int] = ()) -> Answer | None:
        """Return an answer of status 200, or one of `also`."""
        delivery, failures, refused = self._delivery, 0, False
        while failures < delivery.max_attempts and (answer := self._pace.send(partial(self._get, path, params))):
            self.status = answer.status
            if answer.status == HTTPStatus.OK or answer.status in also:
                return answer
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                continue
            said = answer.reason or f"{answer.status} ({api_message(answer)})"
            if is_lost(answer.status):
                failures += 1
                self._pace.lost(delivery.stop_after_lost_answers, said)
                if failures < delivery.max_attempts:
                    self._pace.back_off(backoff(failures, delivery.backoff_seconds, delivery.backoff_max_seconds))
            elif answer.status == HTTPStatus.UNAUTHORIZED and not refused and self._api.refresh_token(answer):
                refused = True
            else:
                not_allowed = answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
                refreshed = f"refresh QGP_API_TOKEN, it needs {self._card.read_permission}"
                fix = refreshed if not_allowed else "check the address"
                self._stop(f"{said}: {fix}")
        return None

    def _get(self, path: str, params: dict[str, str | int] | None) -> Answer:
        with step(Step.READ_BACK):
            return self._api.get(path, params, max_bytes=_MAX_PAGE_BYTES)

    def _stop(self, reason: str) -> None:
        self._pace.stop(f"reading back was answered {reason}")


# A pattern that finds the reference whatever the platform takes a backslash for: `_` is any one character.
_ANY_CHARACTER = "_"


class Proof(Enum):
    """What reading a record back has shown."""

    IDENTICAL = "identical"
    DIFFERS = "differs"
    NOT_VISIBLE = "not_visible"


@dataclass(frozen=True)
class ReadBack:
    """How many records were to be read back, and what that has shown of them.

    `not_verified` are those of which there is no answer. `unproven` are ours, and not identical.
    """

    sampled: int
    identical: int
    differs: int
    not_visible: int
    not_verified: int
    unproven: int


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
        ours, theirs = moment(sent), moment(stored)
        return ours == theirs if ours and theirs else bool(sent == stored)
    if field.format == "email":
        return _same_mailbox(str(sent)) == _same_mailbox(stored)
    text = sanitised(str(sent)) if field.is_sanitised else str(sent)
    return (text.strip() if field.is_stripped else text) == stored


def _same_mailbox(address: str) -> tuple[str, str]:
    """Return the two halves of an e-mail address; the platform writes the name of the host in lower case."""
    name, _, host = address.rpartition("@")
    return name, host.lower()


def moment(text: Any) -> datetime | None:
    """Return an ISO date or date-time in UTC, where one without a zone is; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None
