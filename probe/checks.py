"""The four checks of the contract probe: GET requests only, a handful of them, each with what to do when it fails."""

import time
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from loader.api.answer import Answer, is_lost
from loader.api.tokens import Tokens
from loader.card import Card
from loader.config import TOKEN_COMMAND_VARIABLE, TOKEN_VARIABLE
from loader.console import duration
from loader.delivery.verdict import api_message
from probe.client import Asking
from probe.compare import differences
from probe.finding import NOT_COMPARED, Finding, Kind, Severity
from probe.jwt import Described, describe
from probe.openapi import PathMoved, Unreadable, create_schema

OPENAPI, MAX_OPENAPI_BYTES = "/openapi.json", 32 << 20
_HEALTH, _READY, _VERSION = "/health", "/readyz", "/api/v1/meta/version"
_NAMES = ("health", "authentication", "response_keys", "create_contract")
_ONE_RECORD = "?page=1&page_size=1"
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_LIST_KEYS = frozenset({"items", "total", "page", "page_size", "pages"})
_PRODUCTION = "prod"
_CHECK_HEALTH = "check the API's health"
_FETCH = "fetch the document by hand, or ask the platform team where the endpoint is now"
_UPDATE = "update dbt_project/models/{entity}.yml or data/reference/enum_map.csv, or ask the platform team"


@dataclass(frozen=True)
class Check:
    """One check: what was expected, what was found, and what to do, None when it passed.

    `curl` is a line that asks the same. `unanswered`: it failed for want of an answer that says anything.
    """

    name: str
    expected: str
    found: str
    how_to_fix: str | None = None
    curl: str | None = None
    unanswered: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """Tell whether there is nothing to do."""
        return self.how_to_fix is None


@dataclass(frozen=True)
class Need:
    """How long the records of the last build would take at the rate limit last known; in words where they come from."""

    seconds: float
    records: str


@dataclass(frozen=True)
class Checked:
    """The four checks, and the part of the create contract that concerns us; None where it could not be read.

    With `is_production` the API has said that it is that, and was asked nothing more.
    """

    checks: tuple[Check, ...]
    contract: dict[str, Any] | None
    is_production: bool = False


def run_checks(asking: Asking, environment: str, card: Card, tokens: Tokens, need: Need | None) -> Checked:
    """Run the four checks in order; an API that gives no answer at all fails them all after one request.

    One that names another environment does not get the token.
    """
    answer = asking.get(_HEALTH, anonymous=True)
    if answer.status is None:
        fix, line = "check the address and the API's health", asking.curl(_HEALTH)
        fails = (Check(name, "an answer", answer.reason, fix, line, unanswered=True) for name in _NAMES)
        return Checked(tuple(fails), None)
    if _says_production(answer):
        return _production(asking, environment, _HEALTH, answer)
    ready, version = asking.get(_READY, anonymous=True), asking.get(_VERSION, anonymous=True)
    if _says_production(version):
        return _production(asking, environment, _VERSION, version)
    health = _health(asking, environment, answer, ready, version)
    named = _text(answer, "environment")
    if named is None or named == environment:
        token, keys = _authentication(asking, card, tokens, need), _response_keys(asking, card)
    else:
        token, keys = (_not_asked(asking, name, _HEALTH, named) for name in _NAMES[1:3])
    document = asking.get(OPENAPI, anonymous=True, max_bytes=MAX_OPENAPI_BYTES)
    contract, found = compared(document.json() if document.status == HTTPStatus.OK else None, card)
    return Checked((health, token, keys, _create_contract(asking, card, document, found)), contract)


def _production(asking: Asking, environment: str, path: str, answer: Answer) -> Checked:
    named = _text(answer, "environment") or ""
    found, fix = f"{path}: environment {named!r}, which is production", "correct the address"
    health = Check(_NAMES[0], f"environment {environment!r}", found, fix, asking.curl(path))
    rest = (_not_asked(asking, name, path, named) for name in _NAMES[1:])
    return Checked((health, *rest), None, is_production=True)


def _not_asked(asking: Asking, name: str, path: str, named: str) -> Check:
    found, fix = f"not asked: {path} names the environment {named!r}", "correct the address, or name that environment"
    return Check(name, "the environment that was asked for", found, fix, asking.curl(path))


def _says_production(answer: Answer) -> bool:
    return (_text(answer, "environment") or "").strip().lower().startswith(_PRODUCTION)


def _health(asking: Asking, environment: str, health: Answer, ready: Answer, version: Answer) -> Check:
    status, named = _text(health, "status"), _text(health, "environment")
    healthy = health.status == HTTPStatus.OK and status == "healthy" and named == environment
    check = partial(Check, _NAMES[0], f"200, healthy, environment {environment!r}, and ready")
    if healthy and ready.status == HTTPStatus.OK and _text(ready, "status") == "ready":
        return check(f"200, healthy and ready, environment {named!r}, build {_text(version, 'build_sha')!r}")
    answer, path = (ready, _READY) if healthy else (health, _HEALTH)
    says = "" if answer.json() is None else f", status {_text(answer, 'status')!r}"
    says += "" if healthy or not says else f", environment {named!r}"
    silent = _says_nothing(answer)
    fix = _CHECK_HEALTH if silent else "check the address, and ask the platform team"
    return check(f"{path}: {_described(answer)}{says}", fix, asking.curl(path), unanswered=silent)


def _authentication(asking: Asking, card: Card, tokens: Tokens, need: Need | None) -> Check:
    """Ask for the list without a token and with ours."""
    path = card.endpoint + _ONE_RECORD
    without, answer = asking.get(path, anonymous=True), asking.get(path)
    if answer.status == HTTPStatus.UNAUTHORIZED and asking.refresh_token(answer):
        answer = asking.get(path)
    token, is_closed = describe(tokens.current()[1]), without.status in _REFUSED
    found = f"{without.status if is_closed else _described(without)} without a token, {_described(answer)} with it"
    check = partial(Check, _NAMES[1], "401 or 403 without a token, 200 with it")
    is_taken = answer.status == HTTPStatus.OK and answer.json() is not None
    if is_closed and is_taken:
        return check(found, findings=_notices(token, tokens, need))
    if answer.status in _REFUSED:
        state, fix = _refused(answer, token, card)
        return check(found + state, fix, asking.curl(path, with_token=True))
    open_to_all = not is_closed and not _says_nothing(without)
    wrong = open_to_all or not (is_taken or _says_nothing(answer))
    fix = "check the address: this is not the API that the card describes" if wrong else _CHECK_HEALTH
    return check(found, fix, asking.curl(path, with_token=not open_to_all), unanswered=not wrong)


def _refused(answer: Answer, token: Described, card: Card) -> tuple[str, str]:
    """Return what the token says of itself, and what to do, when the API has refused it."""
    if answer.status == HTTPStatus.FORBIDDEN:
        permissions = ", ".join((card.read_permission, *card.create_permissions))
        return ": a permission is missing", f"ask the platform team for {permissions}, then refresh {TOKEN_VARIABLE}"
    if not token.is_jwt:
        fix = f"export {TOKEN_VARIABLE} anew, all of it and nothing else"
        return ": the token is malformed, not a JWT (three parts with dots between)", fix
    fix = f"refresh {TOKEN_VARIABLE}"
    if token.expires_at is None:
        return ": the token does not say when it expires", fix
    left = token.expires_at - time.time()
    if left <= 0:
        return f": the token expired {duration(left)} ago", fix
    fix += " with one of this environment: another one's, or a revoked one, looks like this"
    return f": the token is refused though it expires only in {duration(left)}", fix


def _notices(token: Described, tokens: Tokens, need: Need | None) -> tuple[Finding, ...]:
    """Return what is worth knowing of a token that the API accepts."""
    if token.expires_at is None:
        return ()
    left = token.expires_at - time.time()
    if left <= 0:
        message = f"the token expired {duration(left)} ago by this clock, yet the API takes it: check the clock"
        return (Finding(Kind.ACCEPTED_THOUGH_EXPIRED, Severity.NOTICE, message, is_urgent=True),)
    message, is_short = f"the token expires in {duration(left)}", False
    if tokens.is_renewable:
        message += f"; {TOKEN_COMMAND_VARIABLE} gives the next one"
    elif need:
        message += f", an import of {need.records} needs about {duration(need.seconds)}"
        is_short = need.seconds > left
        if is_short:
            message += f": set {TOKEN_COMMAND_VARIABLE}, or run the import again with another token when it stops"
    return (Finding(Kind.EXPIRES, Severity.NOTICE, message, is_urgent=is_short),)


def _response_keys(asking: Asking, card: Card) -> Check:
    path = card.endpoint + _ONE_RECORD
    answer = asking.get(path)
    body, expected = answer.json(), f"keys {', '.join(sorted(_LIST_KEYS))}, and of an item the id and the card's fields"
    check, line = partial(Check, _NAMES[2], expected), asking.curl(path, with_token=True)
    if not isinstance(body, dict) or answer.status != HTTPStatus.OK:
        silent = _says_nothing(answer)
        fix = _CHECK_HEALTH if silent else "see the check before, or ask the platform team"
        return check(_described(answer), fix, line, unanswered=silent)
    items, lacking = body.get("items", []), sorted(_LIST_KEYS - set(body))
    if isinstance(items, list):
        wanted = ["id", *(field.name for field in card.fields)]
        lacking += [
            f"items[].{name}"
            for name in wanted
            if any(not isinstance(item, dict) or name not in item for item in items)
        ]
    else:
        lacking.append("items[]")
    if lacking:
        fix = f"the contract has changed: {_UPDATE.format(entity=card.entity)}"
        return check(f"missing {', '.join(lacking)}", fix, line)
    return check("all of them" if items else "all of the list's; it is empty, so no item's")


def compared(document: Any, card: Card) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Compare a document with the card; return the part that concerns us, None where it has none, and the findings."""
    try:
        schema = create_schema(document, card)
    except Unreadable as error:
        kind = Kind.PATH_MOVED if isinstance(error, PathMoved) else Kind.DOCUMENT_UNREADABLE
        return None, [Finding(kind, Severity.BREAKING, f"the document cannot be compared: {error}")]
    return schema.contract(card), differences(card, schema)


def contract_check(card: Card, findings: list[Finding], line: str | None = None) -> Check:
    """Return the check of the create contract; it fails with its first breaking finding, `line` asks for the same."""
    breaking = [finding for finding in findings if finding.is_breaking]
    check = partial(
        Check, _NAMES[3], f"a create schema that takes what the card of {card.entity} sends", findings=tuple(findings)
    )
    if not breaking:
        return check("no breaking difference")
    more = f"; and {len(breaking) - 1} more" if len(breaking) > 1 else ""
    fix = _FETCH if breaking[0].kind in NOT_COMPARED else _UPDATE.format(entity=card.entity)
    return check(breaking[0].sentence() + more, fix, line)


def _create_contract(asking: Asking, card: Card, document: Answer, findings: list[Finding]) -> Check:
    line = asking.curl(OPENAPI)
    if _says_nothing(document):
        expected, found = "its OpenAPI document", _described(document)
        return Check(_NAMES[3], expected, found, _CHECK_HEALTH, line, unanswered=True)
    check = contract_check(card, findings, line)
    if document.status == HTTPStatus.OK:
        return check
    return replace(check, found=f"no OpenAPI document: {_described(document)}")


def _says_nothing(answer: Answer) -> bool:
    """Tell whether an answer says nothing about the API's contract: a 429 or a lost one."""
    return answer.status == HTTPStatus.TOO_MANY_REQUESTS or is_lost(answer.status)


def _described(answer: Answer) -> str:
    """Return what came back, in a few words of one line."""
    if answer.status is None:
        return answer.reason
    if answer.status == HTTPStatus.OK:
        kind = answer.hide(answer.headers.get("Content-Type", "")).partition(";")[0].strip()
        return "200" if answer.json() is not None else f"200, but no JSON ({kind[:40] or 'of no type'})"
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return f"{answer.status}, a redirect, which is never followed"
    return f"{answer.status} ({api_message(answer)})"


def _text(answer: Answer, key: str) -> str | None:
    found = answer.object().get(key)
    return found[:80] if isinstance(found, str) else None
