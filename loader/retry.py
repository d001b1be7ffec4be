"""What an answer to a POST means and what to do next. Pure; the table is that of the RUNBOOK, section 4.

Verdict.action
|- settle   the record's outcome is known: `result` is created, exists or failed
|- retry    nothing is known yet: send it again after a backoff
|- wait     the rate limiter refused it: wait out the window, then send it again; no attempt is counted
`- stop     nothing further may be sent: the run ends, `result` says what became of this record
"""

import random
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

from loader.api import Answer, Loss

STORED_MESSAGE_BYTES = 2000
_QUOTED_CHARACTERS = 200
# Leaves room for what we say around the API's words.
_WORDS_BYTES = STORED_MESSAGE_BYTES - 200


class Action(Enum):
    """What to do next."""

    SETTLE = "settle"
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


# What to do, and what has become of the record; None where that is as it was before this answer.
_MEANINGS: dict[int, tuple[Action, Result | None]] = {
    HTTPStatus.UNAUTHORIZED: (Action.STOP, None),
    HTTPStatus.FORBIDDEN: (Action.STOP, None),
    HTTPStatus.TOO_MANY_REQUESTS: (Action.WAIT, None),
    HTTPStatus.INTERNAL_SERVER_ERROR: (Action.RETRY, Result.UNKNOWN),
    HTTPStatus.BAD_GATEWAY: (Action.RETRY, Result.UNKNOWN),
    HTTPStatus.SERVICE_UNAVAILABLE: (Action.RETRY, Result.UNKNOWN),
    HTTPStatus.GATEWAY_TIMEOUT: (Action.RETRY, Result.UNKNOWN),
}
_REFUSED = (Action.SETTLE, Result.FAILED)
_FOREIGN = (Action.STOP, Result.UNKNOWN)


def judge(answer: Answer, key: str, reference: str, *, may_be_ours: bool) -> Verdict:
    """Return what an answer to the POST of `reference` means.

    Args:
        answer: the answer, or its loss.
        key: name of the API field that echoes the reference.
        reference: the reference that was sent.
        may_be_ours: an earlier attempt of this record may have been stored without our knowing.

    """
    unsettled = Result.UNKNOWN if may_be_ours else Result.NOT_ATTEMPTED
    if answer.status is None:
        return Verdict(Action.RETRY, Result.UNKNOWN if answer.loss is Loss.NO_ANSWER else unsettled, answer.reason)
    if answer.status == HTTPStatus.CREATED:
        return _created(answer, key, reference)
    if answer.status == HTTPStatus.CONFLICT:
        return _conflict(answer, may_be_ours=may_be_ours)
    message = api_message(answer)
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        message = f"{answer.status}, the token is not accepted for this ({message}): refresh QGP_API_TOKEN"
    elif answer.status < HTTPStatus.BAD_REQUEST:
        message = f"{answer.status}, not an answer of the API that was probed: check the address"
    action, result = _MEANINGS.get(answer.status, _REFUSED if answer.status >= HTTPStatus.BAD_REQUEST else _FOREIGN)
    if may_be_ours and result is Result.FAILED and answer.status != HTTPStatus.UNPROCESSABLE_ENTITY:
        # A gateway can say this too, and the lost request may have been stored: the next run asks again.
        result = Result.UNKNOWN
    return Verdict(action, result or unsettled, message)


def _created(answer: Answer, key: str, reference: str) -> Verdict:
    record = answer.json()
    if not isinstance(record, dict) or record.get(key) != reference:
        return Verdict(
            Action.STOP,
            Result.UNKNOWN,
            f"201, but it does not echo {key}: not the API that was probed; check the address",
        )
    api_id = None if record.get("id") is None else _printable(str(record["id"]))[:64]
    return Verdict(Action.SETTLE, Result.CREATED, api_id=api_id)


def _conflict(answer: Answer, *, may_be_ours: bool) -> Verdict:
    body = answer.json()
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return Verdict(
            Action.STOP,
            Result.UNKNOWN if may_be_ours else Result.NOT_ATTEMPTED,
            f"409, the platform refuses every write ({api_message(answer)}): ask the platform team",
        )
    if error.get("code") != "DUPLICATE_ENTITY":
        return Verdict(Action.SETTLE, Result.UNKNOWN if may_be_ours else Result.FAILED, api_message(answer))
    if may_be_ours:
        return Verdict(Action.SETTLE, Result.CREATED, confirmed_by="conflict_after_unknown")
    return Verdict(Action.SETTLE, Result.EXISTS, api_message(answer))


def api_message(answer: Answer) -> str:
    """Return the API's own words: at most 1,800 bytes of UTF-8, control characters escaped, no token in it."""
    body = answer.json()
    words = _words(body) if isinstance(body, dict) else ""
    text = words or answer.text()[:_QUOTED_CHARACTERS] or "no body"
    return _printable(text).encode()[:_WORDS_BYTES].decode(errors="ignore")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _words(body: dict[str, Any]) -> str:
    error = body.get("error")
    if not isinstance(error, dict):
        return str(body.get("detail") or body.get("error_class") or "")
    details = error.get("details")
    listed = details.get("errors") if isinstance(details, dict) else None
    reasons = (
        [f"{item.get('field')}: {item.get('message')}" for item in listed if isinstance(item, dict)]
        if isinstance(listed, list)
        else []
    )
    return " ".join([f"{error.get('code')}: {error.get('message')}", *reasons])


def backoff(attempt: int, base_seconds: float, max_seconds: float, draw: float | None = None) -> float:
    """Return the seconds to wait after the `attempt`-th failure: doubling, capped, between half and all of it."""
    share = random.uniform(0.5, 1.0) if draw is None else draw  # noqa: S311 - jitter, not a secret
    return float(min(base_seconds * 2 ** (attempt - 1), max_seconds) * share)
