"""The sandbox's OpenAPI document, and the ways to change it that the tests of the comparison share."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from sandbox.openapi import openapi_document
from tests.support import CARD, FIELDS

TITLE_LIMIT = FIELDS["title"].max_length
TEXT = {"type": "string", "maxLength": TITLE_LIMIT}
PREFIX = "#/components/schemas/"
Document = Any
Change = Callable[[Document], object]


def document() -> Document:
    """Return the sandbox's document, with the card's limits of the two fields for which it has the same."""
    found = deepcopy(openapi_document(frozenset()))
    properties(found)["title"]["maxLength"] = TITLE_LIMIT
    properties(found)["location"]["anyOf"][0]["maxLength"] = FIELDS["location"].max_length
    return found


def changed(*changes: Change) -> Document:
    """Return the document with these changes, after looking that there are some."""
    found = document()
    for change in changes:
        change(found)
    assert found != document(), "the change changes nothing"
    return found


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


def setting(name: str, schema: Any) -> Change:
    """Return the change that describes one property anew."""
    return lambda of: properties(of).update({name: schema})


def orphan(of: Document) -> None:
    schemas(of).pop("IncidentType")


def close(of: Document) -> None:
    body(of)["additionalProperties"] = False


def rename(of: Document) -> None:
    properties(of)["place"] = properties(of).pop("location")


def rename_required(of: Document) -> None:
    properties(of)["heading"] = properties(of).pop("title")
    body(of)["required"] = ["heading" if name == "title" else name for name in body(of)["required"]]


def move_schema(of: Document) -> None:
    """Put the body behind another name, and that behind an allOf, as a newer FastAPI may."""
    schemas(of)["Moved"] = schemas(of).pop("IncidentCreate")
    schemas(of)["Again"] = {"allOf": [{"$ref": f"{PREFIX}Moved"}], "title": "Again"}
    json_body(of)["schema"] = {"$ref": f"{PREFIX}Again"}


def move_enum(of: Document) -> None:
    schemas(of)["Kinds/of~it"] = schemas(of).pop("IncidentType")
    properties(of)["incident_type"]["$ref"] = f"{PREFIX}Kinds~1of~0it"


def move_body(of: Document) -> None:
    of["components"]["requestBodies"] = {"Create": operation(of)["requestBody"]}
    operation(of)["requestBody"] = {"$ref": "#/components/requestBodies/Create"}


def move_path(of: Document) -> None:
    of["paths"]["/api/v2/incidents/"] = of["paths"].pop(CARD.endpoint)


def inherit(of: Document) -> None:
    """Inherit one field and its being required from a second schema, which limits it more than the first."""
    schemas(of)["Base"] = {
        "type": "object",
        "properties": {"title": {"type": "string", "maxLength": TITLE_LIMIT - 50}},
        "required": ["title"],
    }
    body(of)["allOf"] = [{"$ref": f"{PREFIX}Base"}]


def enum_inline(of: Document) -> None:
    """Write the enum into the property, nullable, one value short."""
    values = [value for value in schemas(of)["IncidentType"]["enum"] if value != "hazard"]
    properties(of)["incident_type"] = {"anyOf": [{"type": "string", "enum": values}, {"type": "null"}]}


def as_3_0(of: Document) -> None:
    """Write the document as OpenAPI 3.0 does: nullable is a flag, and a reference has no siblings."""
    of["openapi"] = "3.0.3"
    for name, schema in properties(of).items():
        if "anyOf" in schema:
            properties(of)[name] = schema["anyOf"][0] | {"nullable": True}
        elif "$ref" in schema:
            properties(of)[name] = {"allOf": [{"$ref": schema["$ref"]}], "default": schema["default"]}


def as_large(of: Document) -> None:
    """Surround it with 1.5 MB of other paths and schemas."""
    other = {"summary": "x" * 900, "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}
    of["paths"] = {f"/api/v1/other/{n}": {"post": other} for n in range(900)} | of["paths"]
    of["paths"] |= {f"/api/v1/zzz/{n}": {"post": other} for n in range(900)}
    assert len(json.dumps(of)) > 1_500_000
