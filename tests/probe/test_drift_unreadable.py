"""Documents that cannot be compared with the card: each is a failed check, never a pass."""

import time

import pytest

from probe.checks import compared, contract_check
from probe.finding import Kind
from tests.probe.documents import (
    CARD,
    PREFIX,
    Change,
    Document,
    body,
    json_body,
    move_path,
    operation,
    orphan,
    properties,
    schemas,
    setting,
)
from tests.probe.test_drift import findings, kinds


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        (move_path, "path_moved", "POST /api/v2/incidents/ takes IncidentCreate"),
        (lambda of: of["paths"][CARD.endpoint].pop("post"), "path_moved", "no JSON body for POST"),
        (lambda of: operation(of).pop("requestBody"), "path_moved", "no JSON body for POST"),
        (lambda of: of.update(paths=[]), "document_unreadable", "not an OpenAPI 3 document"),
        (lambda of: of.update(openapi="2.0"), "document_unreadable", "not an OpenAPI 3 document"),
        (lambda of: schemas(of).pop("IncidentCreate"), "document_unreadable", "leads nowhere"),
        (orphan, "document_unreadable", "leads nowhere"),
        (lambda of: schemas(of).update(IncidentCreate={"$ref": f"{PREFIX}IncidentCreate"}), "", "refers to itself"),
        (lambda of: schemas(of).update(IncidentType={"allOf": [{"$ref": f"{PREFIX}IncidentType"}]}), "", "to itself"),
        (lambda of: body(of).pop("properties"), "", "has no properties"),
        (lambda of: body(of).update(type="array"), "", "is not an object"),
        (lambda of: body(of).update(maxProperties=3), "", "has 'maxProperties'"),
        (lambda of: body(of).update(properties={}), "", "has no properties"),
        (setting("title", None), "", "is not an object"),
        (setting("title", {"not": {"type": "null"}}), "", "uses 'not'"),
        (setting("title", {"anyOf": [{}], "oneOf": [{}]}), "", "combines anyOf and oneOf"),
        (lambda of: json_body(of).update(schema=None), "path_moved", "no JSON body for POST"),
        (lambda of: json_body(of).update(schema={"$ref": 7}), "", "leads nowhere"),
        (lambda of: json_body(of).update(schema={"$ref": "other.json#/a"}), "", "leads nowhere"),
        (lambda of: json_body(of).update(schema={"anyOf": [{"$ref": f"{PREFIX}IncidentCreate"}, {}]}), "", "one of 2"),
        (lambda of: body(of).update(required=None), "", "is malformed"),
        (lambda of: operation(of).update(parameters={}), "", "is malformed"),
        (lambda of: operation(of).update(parameters=[None]), "", "a parameter in it is not an object"),
        (lambda of: operation(of).update(parameters=[{"$ref": "#/nowhere"}]), "", "leads nowhere"),
        (lambda of: body(of).update(required=[["title"]]), "", "is malformed"),
        (lambda of: body(of).update(allOf=None), "", "is malformed"),
        (setting("title", {"anyOf": None}), "", "is malformed"),
        (setting("title", {"type": 7}), "", "is malformed"),
        (setting("title", {"type": "string", "enum": 7}), "", "is malformed"),
        (setting("title", {"type": "string", "maxLength": "many"}), "", "is malformed"),
        (setting("title", {"type": "string", "maxLength": True}), "", "is malformed"),
        (setting("title", {"maxLength": 5, "allOf": [{"maxLength": "many"}]}), "", "is malformed"),
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_compared_fails(change: Change, kind: str, reason: str):
    (found,) = findings(change)
    assert (found.kind.value, found.is_breaking) == (kind or "document_unreadable", True)
    assert reason in found.message
    check = contract_check(CARD, [found])
    assert not check.passed
    assert "fetch the document by hand" in str(check.how_to_fix)


@pytest.mark.parametrize("found", [None, [], "", 0, {}, {"paths": None}, {"openapi": "3.1.0"}], ids=repr)
def test_no_document_at_all(found: object):
    contract, (finding,) = compared(found, CARD)
    assert (contract, finding.kind, finding.is_breaking) == (None, Kind.DOCUMENT_UNREADABLE, True)


def test_a_document_that_grows_without_bound_is_given_up():
    def entangle(of: object) -> None:
        schemas(of).update({f"N{n}": {"anyOf": [{"$ref": f"{PREFIX}N{n + 1}"}] * 9} for n in range(15)}, N15={})
        properties(of)["title"] = {"$ref": f"{PREFIX}N0"}

    began = time.monotonic()
    (found,) = findings(entangle)
    assert "too entangled" in found.message
    assert time.monotonic() - began < 5


def test_what_a_document_says_is_fit_for_one_line():
    finding = findings(lambda of: body(of)["required"].append("a\n\x1b[2J" + "b" * 500))[0]
    assert finding.message.isprintable()
    assert len(finding.message) < 160


def many(of: Document) -> None:
    schemas(of)["Many"] = {"properties": {f"p{number}": {"type": "string"} for number in range(20_000)}}
    schemas(of).update({f"A{number}": {"$ref": f"{PREFIX}Many"} for number in range(2_000)})
    body(of)["allOf"] = [{"$ref": f"{PREFIX}A{number}"} for number in range(2_000)] * 2


def many_inline(of: Document) -> None:
    names = [f"x{number}" for number in range(400)]
    body(of)["allOf"] = [{"required": names, "properties": {name: {} for name in names}} for _ in range(400)]


def many_values(of: Document) -> None:
    values = {"type": "string", "enum": [f"v{number}" for number in range(20_000)]}
    properties(of)["title"] = {"allOf": [values, values | {"maxLength": 5}]}


@pytest.mark.parametrize("change", [many, many_inline, many_values])
def test_a_document_that_says_very_much_is_compared_soon_and_told_in_short(change: Change):
    began = time.monotonic()
    found = findings(change)
    assert time.monotonic() - began < 5
    assert len(found) < 100
    assert "entangled" not in found[0].message


def test_what_is_said_twenty_times_is_said_once():
    def again(of: Document) -> None:
        schemas(of).update({f"N{n}": {"allOf": [{"$ref": f"{PREFIX}N{n + 1}"}] * 20} for n in range(8)})
        schemas(of)["N8"] = properties(of)["title"]
        properties(of)["title"] = {"$ref": f"{PREFIX}N0"}

    assert kinds(findings(again)) == []
