"""The comparison of the card with an OpenAPI document: each way in which the contract can move, one at a time."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from loader.card import read_card
from probe.compare import breaking_differences
from probe.openapi import Unreadable, create_schema
from sandbox.openapi import openapi_document

CARD = read_card("incident")
PREFIX = "#/components/schemas/"
Document = Any
Change = Callable[[Document], object]


def document() -> Document:
    return deepcopy(openapi_document(frozenset()))


def schemas(of: Document) -> Any:
    return of["components"]["schemas"]


def body(of: Document) -> Any:
    return schemas(of)["IncidentCreate"]


def properties(of: Document) -> Any:
    return body(of)["properties"]


def operation(of: Document) -> Any:
    return of["paths"][CARD.endpoint]["post"]


def json_body(of: Document) -> Any:
    return operation(of)["requestBody"]["content"]["application/json"]


def differences(change: Change) -> list[str]:
    changed = document()
    change(changed)
    assert changed != document(), "the change changes nothing"
    return breaking_differences(CARD, create_schema(changed, CARD.endpoint))


def rename(of: Document) -> None:
    properties(of)["place"] = properties(of).pop("location")


def rename_required(of: Document) -> None:
    properties(of)["heading"] = properties(of).pop("title")
    body(of)["required"] = ["heading" if name == "title" else name for name in body(of)["required"]]


def move(of: Document) -> None:
    """Put the body behind another name, and that behind an allOf, as a newer FastAPI may."""
    schemas(of)["Moved"] = schemas(of).pop("IncidentCreate")
    schemas(of)["Again"] = {"allOf": [{"$ref": f"{PREFIX}Moved"}], "title": "Again"}
    json_body(of)["schema"] = {"$ref": f"{PREFIX}Again"}


def split(of: Document) -> None:
    """Inherit one field and its being required from a second schema."""
    schemas(of)["Base"] = {
        "type": "object",
        "properties": {"title": properties(of).pop("title"), "site": {"type": "string"}},
        "required": ["title", "site"],
    }
    body(of)["allOf"] = [{"$ref": f"{PREFIX}Base"}]


def enum_inline(of: Document) -> None:
    """Write the enum into the property, nullable, one value short."""
    values = [value for value in schemas(of)["IncidentType"]["enum"] if value != "hazard"]
    properties(of)["incident_type"] = {"anyOf": [{"type": "string", "enum": values}, {"type": "null"}]}


@pytest.mark.parametrize(
    "change",
    [
        lambda of: schemas(of)["IncidentType"]["enum"].append("volcano"),
        lambda of: properties(of).update(title={"type": "string", "maxLength": 1000}),
        lambda of: properties(of).update(title={"type": "string"}),
        lambda of: properties(of).update(location={"anyOf": [{"type": "string", "maxLength": 300}, {"type": "null"}]}),
        lambda of: properties(of).update(location={"type": ["string", "null"], "maxLength": 300}),
        lambda of: properties(of).update(note={"type": "string"}),
        lambda of: body(of).pop("required"),
        lambda of: operation(of).update(summary="Another"),
        move,
    ],
    ids=["enum_value", "raised", "no_limit", "nullable", "types", "new_optional", "less_required", "words", "moved"],
)
def test_no_breaking_difference(change: Change):
    assert differences(change) == []


def test_the_sandbox_is_what_the_card_describes():
    schema = create_schema(document(), CARD.endpoint)
    assert breaking_differences(CARD, schema) == []
    assert schema.properties.keys() >= {field.name for field in CARD.fields}
    assert "title" in schema.required
    assert schema.properties["title"].max_length == 300
    assert "hazard" in (schema.properties["incident_type"].enum_values or ())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda of: properties(of).pop("location"), ["does not know location, so would drop it without a word"]),
        (rename, ["does not know location, so would drop it without a word"]),
        (
            rename_required,
            [
                "requires heading, which the card does not send",
                "does not know title, so would drop it without a word",
            ],
        ),
        (lambda of: body(of)["required"].append("site"), ["requires site, which the card does not send"]),
        (split, ["requires site, which the card does not send"]),
        (
            lambda of: schemas(of)["IncidentType"]["enum"].remove("quality"),
            ["does not accept incident_type quality, which enum_map.csv maps to"],
        ),
        (enum_inline, ["does not accept incident_type hazard, which enum_map.csv maps to"]),
        (
            lambda of: properties(of).update(title={"type": "string", "maxLength": 200}),
            ["allows title 200 characters, the card 300"],
        ),
        (
            lambda of: properties(of).update(
                location={"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]}
            ),
            ["allows location 5 characters, the card 300"],
        ),
        (
            lambda of: properties(of).update(title={"type": "string", "maxLength": 0}),
            ["allows title 0 characters, the card 300"],
        ),
        (
            lambda of: properties(of).update(severity={"type": "integer"}),
            ["takes severity as integer, the card sends text"],
        ),
        (
            lambda of: properties(of).update(location={"anyOf": [{"type": "object"}, {"type": "null"}]}),
            ["takes location as null or object, the card sends text"],
        ),
        (
            lambda of: properties(of).update(severity={"type": ["integer", "null"]}),
            ["takes severity as integer or null, the card sends text"],
        ),
    ],
)
def test_breaking_difference(change: Change, expected: list[str]):
    assert differences(change) == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda of: of["paths"].pop(CARD.endpoint), "no JSON body for POST"),
        (lambda of: of["paths"][CARD.endpoint].pop("post"), "no JSON body for POST"),
        (lambda of: operation(of).pop("requestBody"), "no JSON body for POST"),
        (lambda of: of.update(paths=[]), "no JSON body for POST"),
        (lambda of: schemas(of).pop("IncidentCreate"), "leads nowhere"),
        (lambda of: schemas(of).pop("IncidentType"), "leads nowhere"),
        (lambda of: schemas(of).update(IncidentCreate={"$ref": f"{PREFIX}IncidentCreate"}), "refers to itself"),
        (lambda of: schemas(of).update(IncidentType={"allOf": [{"$ref": f"{PREFIX}IncidentType"}]}), "to itself"),
        (lambda of: body(of).pop("properties"), "has no properties"),
        (lambda of: body(of).update(properties={}), "has no properties"),
        (lambda of: properties(of).update(title=None), "is not an object"),
        (lambda of: json_body(of).update(schema=None), "is not an object"),
        (lambda of: json_body(of).update(schema={"$ref": 7}), "leads nowhere"),
        (lambda of: body(of).update(required=None), "is malformed"),
        (lambda of: body(of).update(allOf=None), "is malformed"),
        (lambda of: properties(of).update(title={"anyOf": None}), "is malformed"),
        (lambda of: properties(of).update(title={"type": "string", "maxLength": "many"}), "is malformed"),
    ],
)
def test_document_that_cannot_be_compared(change: Change, reason: str):
    with pytest.raises(Unreadable, match=reason):
        differences(change)


@pytest.mark.parametrize("found", [None, [], "", 0, {}, {"paths": None}], ids=repr)
def test_no_document_at_all(found: Document):
    with pytest.raises(Unreadable, match="no JSON body for POST"):
        create_schema(found, CARD.endpoint)
