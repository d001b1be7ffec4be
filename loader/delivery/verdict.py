"""What an answer to a POST means and what to do next. Pure; the table is that of the RUNBOOK, section 4.

Verdict.action
|- settle   the record's outcome is known: `result` is created, exists or failed
|- look_up  the platform has it, and an earlier request of ours may have stored it: look at it
|- retry    nothing is known yet: send it again after a backoff
|- wait     the rate limiter refused it: wait out the window, then send it again; no attempt is counted
`- stop     nothing further may be sent: the run ends, `result` says what became of this record
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

from loader.api.answer import Answer, Loss, as_object, is_lost
from loader.card import Card
from loader.console import printable

STORED_MESSAGE_BYTES = 2000
_QUOTED_CHARACTERS = 200
# Leaves room for what we say around the API's words.
_WORDS_BYTES = STORED_MESSAGE_BYTES - 200


class Action(Enum):
    """What to do next."""

    SETTLE = "settle"
    LOOK_UP = "look_up"
    RETRY = "retry"
    WAIT = "wait"
    STOP = "stop"


class Result(Enum):
    """What became of a record."""

    CREATED = "created"
    EXISTS = "exists"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_ATTEMPTED = "not_attempted"


@dataclass(frozen=True)
class Verdict:
    """The meaning of one answer; `confirmed_by` says how a creation is known when it is not by its own 201."""

    action: Action
    result: Result
    message: str | None = None
    confirmed_by: str | None = None
    api_id: str | None = None


_CLIENT_ERRORS = range(400, 500)
_PERMISSION = re.compile(r"\b[a-z_]+:[a-z_]+\b")


def judge(answer: Answer, card: Card, reference: str, *, may_be_ours: bool) -> Verdict:
    """Return what an answer to the POST of `reference`, or its loss, means.

    `may_be_ours`: an earlier attempt of this record may have been stored without our knowing.
    """
    unsettled = Result.UNKNOWN if may_be_ours else Result.NOT_ATTEMPTED
    match answer.status:
        case None:
            return Verdict(Action.RETRY, Result.UNKNOWN if answer.loss is Loss.NO_ANSWER else unsettled, answer.reason)
        case HTTPStatus.CREATED:
            return _created(answer, card.key, reference)
        case HTTPStatus.CONFLICT:
            return _conflict(answer, may_be_ours=may_be_ours)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Verdict(Action.STOP, unsettled, _not_allowed(answer, card))
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Verdict(Action.WAIT, unsettled, api_message(answer))
    return _by_range(answer, answer.status, may_be_ours=may_be_ours)


def _by_range(answer: Answer, status: int, *, may_be_ours: bool) -> Verdict:
    if is_lost(status):
        return Verdict(Action.RETRY, Result.UNKNOWN, api_message(answer))
    if status not in _CLIENT_ERRORS:
        words = f"{status}, not an answer of the API that was probed: check the address"
        return Verdict(Action.STOP, Result.UNKNOWN, words)
    # A gateway can say this too, and the lost request may have been stored: the next run asks again.
    in_doubt = may_be_ours and status != HTTPStatus.UNPROCESSABLE_ENTITY
    return Verdict(Action.SETTLE, Result.UNKNOWN if in_doubt else Result.FAILED, api_message(answer))


def _not_allowed(answer: Answer, card: Card) -> str:
    """Return what a 401 or a 403 means; the permission that is lacking no other token of the same user has."""
    words, lacking = api_message(answer), " or ".join(card.create_permissions)
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return f"401, the token is not accepted for this ({words}): refresh QGP_API_TOKEN"
    if words.startswith("PERMISSION_DENIED"):
        # The API looks at the permission to create first, and names it.
        named = _PERMISSION.search(words)
        lacking = named[0] if named else card.create_permissions[-1]
    return f"403, the token lacks the permission {lacking} ({words}): ask the platform team for it"


def _created(answer: Answer, key: str, reference: str) -> Verdict:
    record = answer.object()
    if record.get(key) != reference:
        words = f"201, but it does not echo {key}: not the API that was probed; check the address"
        return Verdict(Action.STOP, Result.UNKNOWN, words)
    return Verdict(Action.SETTLE, Result.CREATED, api_id=api_id(record))


def _conflict(answer: Answer, *, may_be_ours: bool) -> Verdict:
    error, words = answer.object().get("error"), api_message(answer)
    if not isinstance(error, dict):
        words = f"409, the platform refuses every write ({words}): ask the platform team"
        return Verdict(Action.STOP, Result.UNKNOWN if may_be_ours else Result.NOT_ATTEMPTED, words)
    if error.get("code") != "DUPLICATE_ENTITY":
        return Verdict(Action.SETTLE, Result.UNKNOWN if may_be_ours else Result.FAILED, words)
    if may_be_ours:
        return Verdict(Action.LOOK_UP, Result.UNKNOWN, words)
    return Verdict(Action.SETTLE, Result.EXISTS, words, api_id=existing_id(answer))


def api_id(record: Mapping[str, Any]) -> str | None:
    """Return the platform's own id of a record, as text."""
    return None if record.get("id") is None else printable(str(record["id"]), kept="")[:64]


def existing_id(conflict: Answer) -> str | None:
    """Return the id that a 409 names, where it does."""
    error = as_object(conflict.object().get("error"))
    return api_id({"id": as_object(error.get("details")).get("existing_id")})


def api_message(answer: Answer) -> str:
    """Return the API's own words: at most 1,800 bytes of UTF-8, control characters escaped, no token in it."""
    text = _words(answer.object()) or answer.text()[:_QUOTED_CHARACTERS] or "no body"
    return fitted(printable(text, kept=""), _WORDS_BYTES)


def fitted(text: str, size: int = STORED_MESSAGE_BYTES) -> str:
    """Return the text, cut to so many bytes of UTF-8."""
    return text.encode()[:size].decode(errors="ignore")


def _words(body: dict[str, Any]) -> str:
    error = body.get("error")
    if not isinstance(error, dict):
        return str(body.get("detail") or body.get("error_class") or "")
    listed = as_object(error.get("details")).get("errors")
    items = filter(None, map(as_object, listed)) if isinstance(listed, list) else ()
    reasons = [f"{item.get('field')}: {item.get('message')}" for item in items]
    return " ".join([f"{error.get('code')}: {error.get('message')}", *reasons])


def backoff(attempt: int, base_seconds: float, max_seconds: float, draw: float | None = None) -> float:
    """Return the seconds to wait after the `attempt`-th failure: doubling, capped, between half and all of it."""
    share = random.uniform(0.5, 1.0) if draw is None else draw  # noqa: S311 - jitter, not a secret
    return float(min(base_seconds * 2 ** (attempt - 1), max_seconds) * share)
