"""The four checks of the contract probe: GET requests only, a handful of them, each with what to do when it fails."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from loader.api import Answer
from loader.card import Card
from loader.tokens import Tokens
from probe import authentication
from probe.asking import Asking
from probe.check import OK, Check, curl, described, failed, passed, says_nothing
from probe.compare import differences
from probe.finding import NOT_COMPARED, Finding, Kind, Severity
from probe.openapi import create_schema
from probe.resolver import PathMoved, Unreadable

HEALTH, READY, VERSION, OPENAPI = "/health", "/readyz", "/api/v1/meta/version", "/openapi.json"
NAMES = ("health", authentication.NAME, "response_keys", "create_contract")
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
    asking: Asking, environment: str, card: Card, tokens: Tokens, need: Callable[[], authentication.Need | None]
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
        token, keys = authentication.check(asking, card, tokens, need), _response_keys(asking, card)
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
    answer = asking.get(card.endpoint, authentication.PAGE)
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
