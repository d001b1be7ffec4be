"""The four checks of the contract probe: GET requests only, a handful of them, each with what to do when it fails."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from loader.api import Answer, Api
from loader.audit import now
from loader.card import Card
from loader.errors import ApiUnavailable, Refused
from loader.retry import api_message
from loader.warehouse import Row
from probe.compare import breaking_differences
from probe.openapi import Unreadable, create_schema

HEALTH, VERSION, OPENAPI = "/health", "/api/v1/meta/version", "/openapi.json"
OK = HTTPStatus.OK
MAX_OPENAPI_BYTES = 32 << 20
LIST_KEYS = frozenset({"items", "total", "page", "page_size", "pages"})
_PAGE = {"page": 1, "page_size": 1}


@dataclass(frozen=True)
class Check:
    """One check: what was expected, what was found, and what to do (None when it passed)."""

    name: str
    passed: bool
    expected: str
    found: str
    how_to_fix: str | None


def run_checks(api: Api, environment: str, card: Card) -> list[Check]:
    """Run the four checks in order; an API that cannot be reached fails them all after one request.

    Raises:
        Refused: the API says that it is production.

    """
    health = api.get(HEALTH, anonymous=True)
    if _text(health.json(), "environment") == "production":
        raise Refused(f"{api.address} says that it is production; imports go to staging only: correct the address")
    checks: dict[str, Callable[[], Check]] = {
        "health": partial(_health, api, environment, health),
        "authentication": partial(_authentication, api, card),
        "response_keys": partial(_response_keys, api, card),
        "create_contract": partial(_create_contract, api, card),
    }
    if health.status is None:
        fix = f"check the address and the API's health: curl -s {api.address}{HEALTH}"
        return [Check(name, passed=False, expected="an answer", found=health.reason, how_to_fix=fix) for name in checks]
    return [check() for check in checks.values()]


def probe_or_refuse(api: Api, environment: str, card: Card) -> list[Row]:
    """Return the checks as rows of `audit.fct_probe_checks`, without their run.

    Raises:
        ApiUnavailable: a check failed; names the first.
        Refused: the API says that it is production.

    """
    checks = run_checks(api, environment, card)
    for check in checks:
        if not check.passed:
            raise ApiUnavailable(
                f"probe failed, nothing was posted: {check.name}: expected {check.expected}, found {check.found}; "
                f"{check.how_to_fix}"
            )
    return check_rows(checks, environment, api.address)


def check_rows(checks: Iterable[Check], environment: str, address: str) -> list[Row]:
    """Return checks as rows of `audit.fct_probe_checks`, without their run."""
    return [
        {
            "environment": environment,
            "address": address,
            "check_name": check.name,
            "passed": check.passed,
            "expected": check.expected,
            "found": check.found,
            "how_to_fix": check.how_to_fix,
            "checked_at": now(),
        }
        for check in checks
    ]


def _health(api: Api, environment: str, health: Answer) -> Check:
    body = health.json()
    status, named = _text(body, "status"), _text(body, "environment")
    version = _text(api.get(VERSION, anonymous=True).json(), "build_sha")
    passed = health.status == OK and status == "healthy" and named == environment
    found = f"{health.status}, status {status!r}, environment {named!r}, build {version!r}"
    fix = f"check the address and ask the platform team: curl -s {api.address}{HEALTH}"
    return Check(
        "health",
        passed,
        f"200, status 'healthy', environment {environment!r}",
        found,
        None if passed else fix,
    )


def _authentication(api: Api, card: Card) -> Check:
    without = api.get(card.endpoint, _PAGE, anonymous=True).status
    answer = api.get(card.endpoint, _PAGE)
    if answer.status == HTTPStatus.UNAUTHORIZED and api.refresh_token(answer):
        answer = api.get(card.endpoint, _PAGE)
    passed = without in (401, 403) and answer.status == OK
    found = f"{without} without a token, {_outcome(answer)} with it"
    fix = (
        "refresh QGP_API_TOKEN"
        if answer.status in (401, 403)
        else f"ask the platform team: curl -si {api.address}{card.endpoint}"
    )
    return Check("authentication", passed, "401 or 403 without a token, 200 with it", found, None if passed else fix)


def _response_keys(api: Api, card: Card) -> Check:
    answer = api.get(card.endpoint, _PAGE)
    body = answer.json()
    wanted = sorted(LIST_KEYS)
    if not isinstance(body, dict) or answer.status != OK:
        found, passed = _outcome(answer), False
    else:
        items = body.get("items")
        lacking = sorted(LIST_KEYS - set(body)) + [
            f"items[].{name}"
            for name in ("id", card.key)
            if isinstance(items, list) and any(not isinstance(item, dict) or name not in item for item in items)
        ]
        found, passed = (f"missing {', '.join(lacking)}" if lacking else "all of them"), not lacking
    fix = "the contract has changed: update the card in dbt_project/models, or ask the platform team"
    return Check("response_keys", passed, f"keys {', '.join(wanted)}", found, None if passed else fix)


def _create_contract(api: Api, card: Card) -> Check:
    answer = api.get(OPENAPI, anonymous=True, max_bytes=MAX_OPENAPI_BYTES)
    try:
        differences = breaking_differences(card, create_schema(answer.json(), card.endpoint))
    except Unreadable as error:
        differences = [f"cannot be compared ({_outcome(answer)}): {error}"]
    found = "the API " + "; the API ".join(differences) if differences else "no breaking difference"
    fix = f"update the card in dbt_project/models/{card.entity}.yml or enum_map.csv, or ask the platform team"
    return Check(
        "create_contract",
        not differences,
        f"a create schema that takes what the card of {card.entity} sends",
        found,
        fix if differences else None,
    )


def _outcome(answer: Answer) -> str:
    if answer.status is None:
        return answer.reason
    return f"{answer.status}" if answer.status == OK else f"{answer.status} ({api_message(answer)})"


def _text(body: Any, key: str) -> str | None:
    found = body.get(key) if isinstance(body, dict) else None
    return found[:80] if isinstance(found, str) else None
