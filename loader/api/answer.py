"""One answer of the API, or the lack of one, as a value."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any

CUT = "the connection was cut before the answer"
LATE = "no answer within the time-out"
_LOST = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, *range(500, 600)})


def is_lost(status: int | None) -> bool:
    """Tell whether an answer says nothing of what was asked for: none, or one that can come after the work was done.

    A gateway sends 408, 425 and 5xx too, and the API itself for a record that it has stored.
    """
    return status is None or status in _LOST


class Loss(Enum):
    """Why there is no answer, told apart by whether the request can have reached the server."""

    NOT_SENT = "not sent"
    NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Answer:
    """One answer: status, headers, at most `max_bytes` of body, milliseconds; or a `loss` and its reason.

    `sent_bytes` is the size of a POST's body; `reused` says that the connection had carried a request before.
    `token_number` is that of the token that was sent, 0 without one. `hide` takes the tokens out of a text: an API may
    echo what it was sent, in its body or its headers.
    """

    status: int | None
    milliseconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    loss: Loss | None = None
    reason: str = ""
    sent_bytes: int = 0
    reused: bool = False
    token_number: int = 0
    hide: Callable[[str], str] = field(default=str, repr=False, compare=False)

    @property
    def stale(self) -> bool:
        """Tell whether the connection was cut after it had carried a request: the server may have closed it before."""
        return self.reused and self.reason == CUT

    def json(self) -> Any:
        """Return the body as JSON, without any token in its texts, or None when it is not JSON."""
        try:
            return _hidden(json.loads(self.body), self.hide)
        except (ValueError, RecursionError):
            return None

    def object(self) -> dict[str, Any]:
        """Return the body as a JSON object, an empty one when it is none."""
        return as_object(self.json())

    def text(self) -> str:
        """Return the body as text, without any token in it."""
        return self.hide(self.body.decode(errors="replace"))


def as_object(value: Any) -> dict[str, Any]:
    """Return a value of JSON that is an object, an empty one in place of any other."""
    return value if isinstance(value, dict) else {}


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list):
        return [_hidden(entry, hide) for entry in value]
    return {hide(key): _hidden(entry, hide) for key, entry in value.items()} if isinstance(value, dict) else value
