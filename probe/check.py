"""One check of the probe as a value, and what an answer that is not the expected one is in words."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from loader.answer import Answer, is_lost
from loader.config import TOKEN_COMMAND_VARIABLE, TOKEN_VARIABLE
from loader.retry import api_message
from probe.finding import Finding

OK = HTTPStatus.OK
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True)
class Check:
    """One check: what was expected, what was found, and what to do (None when it passed).

    `unanswered` says that it failed for want of an answer that says anything; `curl` is a line that asks the same.
    """

    name: str
    passed: bool
    expected: str
    found: str
    how_to_fix: str | None = None
    curl: str | None = None
    unanswered: bool = False
    findings: tuple[Finding, ...] = ()


def passed(name: str, expected: str, found: str, findings: Iterable[Finding] = ()) -> Check:
    """Return a check that passed."""
    return Check(name, passed=True, expected=expected, found=found, findings=tuple(findings))


def failed(name: str, expected: str, found: str, **more: Any) -> Check:
    """Return a check that failed; `more` are how_to_fix, curl, unanswered and findings."""
    return Check(name, passed=False, expected=expected, found=found, **more)


def says_nothing(answer: Answer) -> bool:
    """Tell whether an answer says nothing about the API's contract: a 429 or a lost one."""
    return answer.status == HTTPStatus.TOO_MANY_REQUESTS or is_lost(answer.status)


def described(answer: Answer) -> str:
    """Return what came back, in a few words of one line."""
    if answer.status is None:
        return answer.reason
    if answer.status == OK:
        kind = answer.hide(answer.headers.get("Content-Type", "")).partition(";")[0].strip()
        return "200" if answer.json() is not None else f"200, but no JSON ({kind[:40] or 'of no type'})"
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return f"{answer.status}, a redirect, which is never followed"
    return f"{answer.status} ({api_message(answer)})"


def curl(url: str, *, with_token: bool = False) -> str:
    """Return a line for bash that asks the same; the token stays in its variable, and out of the list of processes."""
    if with_token:
        has_command_alone = not os.environ.get(TOKEN_VARIABLE) and os.environ.get(TOKEN_COMMAND_VARIABLE)
        token = f'$(eval "${TOKEN_COMMAND_VARIABLE}")' if has_command_alone else f"${TOKEN_VARIABLE}"
        return f"curl -sS -i -H @- '{url}' <<< \"Authorization: Bearer {token}\""
    return f"curl -sS -i '{url}'"
