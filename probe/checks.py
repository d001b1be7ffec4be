"""The four checks of the contract probe: GET requests only, a handful of them, each with what to do when it fails."""

import os
import time
from collections.abc import Callable, Iterable
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


AUTHENTICATION = "authentication"
PAGE = {"page": 1, "page_size": 1}
_QUERY = "?page=1&page_size=1"
_EXPECTED = "401 or 403 without a token, 200 with it"


@dataclass(frozen=True)
class Need:
    """How long the records of the last build would take at the rate limit last known; in words where they come from."""

    seconds: float
    records: str


def _authentication(asking: Asking, card: Card, tokens: Tokens, need: Callable[[], Need | None]) -> Check:
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
        return passed(AUTHENTICATION, _EXPECTED, found, (notice,) if notice else ())
    if answer.status in REFUSED:
        state, fix = _refused(answer, token, card)
        return failed(AUTHENTICATION, _EXPECTED, f"{found}{state}", how_to_fix=fix, curl=curl(url, with_token=True))
    open_to_all = without.status not in REFUSED and not says_nothing(without)
    wrong = open_to_all or not (is_taken or says_nothing(answer))
    fix = "check the address: this is not the API that the card describes" if wrong else "check the API's health"
    line = curl(url, with_token=not open_to_all)
    return failed(AUTHENTICATION, _EXPECTED, found, how_to_fix=fix, curl=line, unanswered=not wrong)


def _without(answer: Answer) -> str:
    return str(answer.status) if answer.status in REFUSED else described(answer)


def _refused(answer: Answer, token: Described, card: Card) -> tuple[str, str]:
    """Return what the token says of itself, and what to do, when the API has refused it."""
    if answer.status == HTTPStatus.FORBIDDEN:
        permissions = ", ".join((card.read_permission, *card.create_permissions))
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


HEALTH, READY, VERSION, OPENAPI = "/health", "/readyz", "/api/v1/meta/version", "/openapi.json"
NAMES = ("health", AUTHENTICATION, "response_keys", "create_contract")
MAX_OPENAPI_BYTES = 32 << 20
LIST_KEYS = frozenset({"items", "total", "page", "page_size", "pages"})
_PRODUCTION = "prod"
_FETCH = "fetch the document by hand, or ask the platform team where the endpoint is now"
_UPDATE = "dbt_project/models/{entity}.yml or data/reference/enum_map.csv, or ask the platform team"


@dataclass(frozen=True)
class Checked:
    """The four checks, and the part of the create contract that concerns us; None where it could not be read.

    With `is_production` the API has said that it is that, and was asked nothing more.
    """

    checks: tuple[Check, ...]
    contract: dict[str, Any] | None
    is_production: bool = False


def run_checks(
    asking: Asking, environment: str, card: Card, tokens: Tokens, need: Callable[[], Need | None]
) -> Checked:
    """Run the four checks in order; an API that gives no answer at all fails them all after one request.

    One that names another environment does not get the token.
    """
    answer = asking.get(HEALTH, anonymous=True)
    if answer.status is None:
        return Checked(tuple(_unreachable(asking, name, answer) for name in NAMES), None)
    if _says_production(answer):
        return _production(asking, environment, HEALTH, answer)
    ready, version = asking.get(READY, anonymous=True), asking.get(VERSION, anonymous=True)
    if _says_production(version):
        return _production(asking, environment, VERSION, version)
    health = _health(asking, environment, answer, ready, version)
    named = _text(answer, "environment")
    if named is None or named == environment:
        token, keys = _authentication(asking, card, tokens, need), _response_keys(asking, card)
    else:
        token, keys = (_not_asked(asking, name, HEALTH, named) for name in NAMES[1:3])
    document = asking.get(OPENAPI, anonymous=True, max_bytes=MAX_OPENAPI_BYTES)
    contract, found = compared(document.json() if document.status == OK else None, card)
    return Checked((health, token, keys, _create_contract(asking, card, document, found)), contract)


def compared(document: Any, card: Card) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Compare a document with the card; return the part that concerns us, None where it has none, and the findings."""
    unreadable = partial(Finding, severity=Severity.BREAKING)
    try:
        schema = create_schema(document, card)
    except PathMoved as error:
        return None, [unreadable(Kind.PATH_MOVED, message=f"the document cannot be compared: {error}")]
    except Unreadable as error:
        return None, [unreadable(Kind.DOCUMENT_UNREADABLE, message=f"the document cannot be compared: {error}")]
    return schema.contract(card), differences(card, schema)


def contract_check(card: Card, findings: list[Finding], line: str | None = None) -> Check:
    """Return the check of the create contract; it fails with its first breaking finding, `line` asks for the same."""
    breaking = [finding for finding in findings if finding.is_breaking]
    expected = f"a create schema that takes what the card of {card.entity} sends"
    if not breaking:
        return passed(NAMES[3], expected, "no breaking difference", findings)
    more = f"; and {len(breaking) - 1} more" if len(breaking) > 1 else ""
    fix = _FETCH if breaking[0].kind in NOT_COMPARED else f"update {_UPDATE.format(entity=card.entity)}"
    found = breaking[0].sentence() + more
    return failed(NAMES[3], expected, found, how_to_fix=fix, curl=line, findings=tuple(findings))


def _unreachable(asking: Asking, name: str, answer: Answer) -> Check:
    url = asking.address + HEALTH
    fix = "check the address and the API's health"
    return failed(name, "an answer", answer.reason, how_to_fix=fix, curl=curl(url), unanswered=True)


def _production(asking: Asking, environment: str, path: str, answer: Answer) -> Checked:
    named, line = _text(answer, "environment") or "", curl(asking.address + path)
    found, fix = f"{path}: environment {named!r}, which is production", "correct the address"
    health = failed(NAMES[0], f"environment {environment!r}", found, how_to_fix=fix, curl=line)
    rest = tuple(_not_asked(asking, name, path, named) for name in NAMES[1:])
    return Checked((health, *rest), None, is_production=True)


def _not_asked(asking: Asking, name: str, path: str, named: str) -> Check:
    found = f"not asked: {path} names the environment {named!r}"
    fix = "correct the address, or name that environment"
    return failed(name, "the environment that was asked for", found, how_to_fix=fix, curl=curl(asking.address + path))


def _health(asking: Asking, environment: str, health: Answer, ready: Answer, version: Answer) -> Check:
    status, named = _text(health, "status"), _text(health, "environment")
    healthy = health.status == OK and status == "healthy" and named == environment
    expected = f"200, healthy, environment {environment!r}, and ready"
    if healthy and ready.status == OK and _text(ready, "status") == "ready":
        found = f"200, healthy and ready, environment {named!r}, build {_text(version, 'build_sha')!r}"
        return passed(NAMES[0], expected, found)
    answer, path = (ready, READY) if healthy else (health, HEALTH)
    says = "" if answer.json() is None else f", status {_text(answer, 'status')!r}"
    says += "" if healthy or not says else f", environment {named!r}"
    fix = "check the API's health" if says_nothing(answer) else "check the address, and ask the platform team"
    found, line = f"{path}: {described(answer)}{says}", curl(asking.address + path)
    return failed(NAMES[0], expected, found, how_to_fix=fix, curl=line, unanswered=says_nothing(answer))


def _says_production(answer: Answer) -> bool:
    return (_text(answer, "environment") or "").strip().lower().startswith(_PRODUCTION)


def _response_keys(asking: Asking, card: Card) -> Check:
    answer = asking.get(card.endpoint, PAGE)
    body, expected = answer.json(), f"keys {', '.join(sorted(LIST_KEYS))}, and of an item the id and the card's fields"
    url = f"{asking.address}{card.endpoint}?page=1&page_size=1"
    fails = partial(failed, NAMES[2], expected, curl=curl(url, with_token=True))
    if not isinstance(body, dict) or answer.status != OK:
        silent = says_nothing(answer)
        fix = "check the API's health" if silent else "see the check before, or ask the platform team"
        return fails(described(answer), how_to_fix=fix, unanswered=silent)
    lacking = sorted(LIST_KEYS - set(body)) + _lacking_in_items(body.get("items", []), card)
    if lacking:
        fix = f"the contract has changed: update {_UPDATE.format(entity=card.entity)}"
        return fails(f"missing {', '.join(lacking)}", how_to_fix=fix)
    found = "all of them" if body["items"] else "all of the list's; it is empty, so no item's"
    return passed(NAMES[2], expected, found)


def _lacking_in_items(items: Any, card: Card) -> list[str]:
    if not isinstance(items, list):
        return ["items[]"]
    wanted = ["id", *(field.name for field in card.fields)]
    return [
        f"items[].{name}" for name in wanted if any(not isinstance(item, dict) or name not in item for item in items)
    ]


def _create_contract(asking: Asking, card: Card, document: Answer, findings: list[Finding]) -> Check:
    url = curl(asking.address + OPENAPI)
    if document.status == OK:
        return contract_check(card, findings, url)
    if says_nothing(document):
        fix = "check the API's health"
        return failed(NAMES[3], "its OpenAPI document", described(document), how_to_fix=fix, curl=url, unanswered=True)
    return replace(contract_check(card, findings, url), found=f"no OpenAPI document: {described(document)}")


def _text(answer: Answer, key: str) -> str | None:
    body = answer.json()
    found = body.get(key) if isinstance(body, dict) else None
    return found[:80] if isinstance(found, str) else None
