"""Reads the part of an OpenAPI 3 document that concerns one entity. Pure."""

from dataclasses import dataclass
from typing import Any

_MAX_DEPTH = 20


class Unreadable(Exception):
    """The document cannot be compared; the message says why."""


@dataclass(frozen=True)
class Property:
    """One property of a create schema, `$ref`, `allOf` and nullable `anyOf` resolved."""

    types: frozenset[str]
    format: str | None
    max_length: int | None
    enum_values: frozenset[str] | None


@dataclass(frozen=True)
class CreateSchema:
    """The body of the entity's POST."""

    required: frozenset[str]
    properties: dict[str, Property]


def create_schema(document: Any, path: str) -> CreateSchema:
    """Return the JSON body of `POST path`.

    Raises:
        Unreadable: the document has no such operation, or its schema cannot be resolved.

    """
    try:
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    except (KeyError, TypeError) as error:
        raise Unreadable(f"it describes no JSON body for POST {path}") from error
    try:
        schema = _resolve(document, body)
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            raise Unreadable(f"the body of POST {path} has no properties")
        return CreateSchema(
            frozenset(schema.get("required", [])),
            {name: _property(document, described) for name, described in properties.items()},
        )
    except (TypeError, ValueError) as error:
        raise Unreadable(f"the body of POST {path} is malformed ({error})") from error


def _resolve(document: Any, schema: Any, depth: int = 0) -> dict[str, Any]:
    """Return the schema with `$ref` followed and `allOf` merged into it."""
    if depth > _MAX_DEPTH or not isinstance(schema, dict):
        raise Unreadable("a schema in it is not an object, or refers to itself")
    merged = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
    for part in [
        *([_follow(document, schema["$ref"])] if "$ref" in schema else []),
        *schema.get("allOf", []),
    ]:
        resolved = _resolve(document, part, depth + 1)
        merged = (
            resolved
            | merged
            | {
                key: [*resolved[key], *merged[key]] if key == "required" else resolved[key] | merged[key]
                for key in ("required", "properties")
                if key in resolved and key in merged
            }
        )
    return merged


def _follow(document: Any, reference: Any) -> Any:
    found = document
    for step in str(reference).removeprefix("#/").split("/"):
        if not isinstance(found, dict) or step not in found:
            raise Unreadable(f"the reference {reference!r} leads nowhere")
        found = found[step]
    return found


def _property(document: Any, described: Any) -> Property:
    options = [_resolve(document, described)]
    for choice in ("anyOf", "oneOf"):
        options += [_resolve(document, option) for option in options[0].get(choice, [])]
    listed = [option["type"] for option in options if "type" in option]
    types = frozenset(str(name) for names in listed for name in ([names] if isinstance(names, str) else names))
    enums = [option["enum"] for option in options if isinstance(option.get("enum"), list)]
    return Property(
        types=types,
        format=next((option["format"] for option in options if "format" in option), None),
        max_length=next((int(option["maxLength"]) for option in options if "maxLength" in option), None),
        enum_values=frozenset(str(value) for values in enums for value in values) if enums else None,
    )
