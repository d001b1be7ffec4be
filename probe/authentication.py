"""The check of the token: refused without one, allowed with ours; and what to do about each way in which it is not."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from loader.api import Answer
from loader.card import Card
from loader.config import TOKEN_COMMAND_VARIABLE, TOKEN_VARIABLE
from loader.tokens import Tokens
from probe.asking import Asking
from probe.check import OK, REFUSED, Check, curl, described, failed, passed, says_nothing
from probe.finding import Finding, Kind, Severity
from probe.jwt import Described, describe, duration

NAME = "authentication"
PAGE = {"page": 1, "page_size": 1}
_QUERY = "?page=1&page_size=1"
_EXPECTED = "401 or 403 without a token, 200 with it"


@dataclass(frozen=True)
class Need:
    """How long the records of the last build would take at the rate limit last known; in words where they come from."""

    seconds: float
    records: str


def check(asking: Asking, card: Card, tokens: Tokens, need: Callable[[], Need | None]) -> Check:
    """Ask for the list without a token and with ours."""
    without = asking.get(card.endpoint, PAGE, anonymous=True)
    answer = asking.get(card.endpoint, PAGE)
    if answer.status == HTTPStatus.UNAUTHORIZED and asking.refresh_token(answer):
        answer = asking.get(card.endpoint, PAGE)
    token = describe(tokens.current()[1])
    url = asking.address + card.endpoint + _QUERY
    found = f"{_without(without)} without a token, {described(answer)} with it"
    is_taken = answer.status == OK and answer.json() is not None
    if without.status in REFUSED and is_taken:
        notice = _notice(token, tokens, need)
        return passed(NAME, _EXPECTED, found, (notice,) if notice else ())
    if answer.status in REFUSED:
        state, fix = _refused(answer, token, card)
        return failed(NAME, _EXPECTED, f"{found}{state}", how_to_fix=fix, curl=curl(url, with_token=True))
    open_to_all = without.status not in REFUSED and not says_nothing(without)
    wrong = open_to_all or not (is_taken or says_nothing(answer))
    fix = "check the address: this is not the API that the card describes" if wrong else "check the API's health"
    line = curl(url, with_token=not open_to_all)
    return failed(NAME, _EXPECTED, found, how_to_fix=fix, curl=line, unanswered=not wrong)


def _without(answer: Answer) -> str:
    return str(answer.status) if answer.status in REFUSED else described(answer)


def _refused(answer: Answer, token: Described, card: Card) -> tuple[str, str]:
    """Return what the token says of itself, and what to do, when the API has refused it."""
    if answer.status == HTTPStatus.FORBIDDEN:
        permissions = ", ".join((f"{card.entity}:read", *card.create_permissions))
        return ": a permission is missing", f"ask the platform team for {permissions}, then refresh {TOKEN_VARIABLE}"
    if not token.is_jwt:
        fix = f"export {TOKEN_VARIABLE} anew, all of it and nothing else"
        return ": the token is malformed, not a JWT (three parts with dots between)", fix
    if token.expires_at is None:
        return ": the token does not say when it expires", f"refresh {TOKEN_VARIABLE}"
    left = token.expires_at - time.time()
    if left <= 0:
        return f": the token expired {duration(left)} ago", f"refresh {TOKEN_VARIABLE}"
    return (
        f": the token is refused though it expires only in {duration(left)}",
        f"refresh {TOKEN_VARIABLE} with one of this environment: another one's, or a revoked one, looks like this",
    )


def _notice(token: Described, tokens: Tokens, need: Callable[[], Need | None]) -> Finding | None:
    """Return what is worth knowing of a token that the API accepts."""
    if token.expires_at is None:
        return None
    left = token.expires_at - time.time()
    if left <= 0:
        message = f"the token expired {duration(left)} ago by this clock, yet the API takes it: check the clock"
        return Finding(Kind.ACCEPTED_THOUGH_EXPIRED, Severity.NOTICE, message, is_urgent=True)
    message, is_short = f"the token expires in {duration(left)}", False
    if tokens.is_renewable:
        message += f"; {TOKEN_COMMAND_VARIABLE} gives the next one"
    elif needed := need():
        message += f", an import of {needed.records} needs about {duration(needed.seconds)}"
        is_short = needed.seconds > left
        if is_short:
            message += f": set {TOKEN_COMMAND_VARIABLE}, or run the import again with another token when it stops"
    return Finding(Kind.EXPIRES, Severity.NOTICE, message, is_urgent=is_short)
