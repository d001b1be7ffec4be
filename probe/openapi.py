"""Reads the part of an OpenAPI 3 document that concerns one entity. Pure."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from loader.card import Card
from probe.finding import shown
from probe.parameters import required_parameters
from probe.resolver import PathMoved, Resolver, Schema, Unreadable, limit, types

JSON_TYPE = "application/json"
_CLOSED = ("additionalProperties", "unevaluatedProperties")
# They limit which fields may come together, of which the card says nothing.
_BEYOND = ("maxProperties", "minProperties", "propertyNames")


@dataclass(frozen=True)
class Property:
    """One property of a create schema, resolved; `types` is empty for any type, and never has null."""

    types: tuple[str, ...]
    nullable: bool
    formats: tuple[str, ...]
    max_length: int | None
    min_length: int
    pattern: str | None
    enum_values: tuple[str, ...] | None
    read_only: bool = False

    def contract(self) -> dict[str, Any]:
        """Return it for the contract, as JSON would give it back; being read-only only where it is."""
        parts = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {key: value for key, value in parts.items() if key != "read_only" or value}


@dataclass(frozen=True)
class CreateSchema:
    """The body of the entity's POST; `is_closed` where a property that it does not name is refused, not dropped.

    `parameters` are those that the POST requires beside it, as "header X-Tenant".
    """

    path: str
    required: frozenset[str]
    properties: dict[str, Property]
    is_closed: bool
    parameters: tuple[str, ...] = ()

    def contract(self, card: Card) -> dict[str, Any]:
        """Return the part that concerns us: path, required fields, and the properties of the fields that we send.

        Required parameters are in it only where there are some.
        """
        sent = {field.name for field in card.fields}
        parameters = {"parameters": list(self.parameters)} if self.parameters else {}
        return parameters | {
            "path": self.path,
            "required": sorted(self.required),
            "is_closed": self.is_closed,
            "properties": {name: self.properties[name].contract() for name in sorted(self.properties) if name in sent},
        }


def canonical(contract: dict[str, Any]) -> str:
    """Return a contract as JSON that is the same for the same contract."""
    return json.dumps(contract, sort_keys=True, separators=(",", ":"))


def fingerprint(contract: dict[str, Any]) -> str:
    """Return the SHA-256 of a contract."""
    return hashlib.sha256(canonical(contract).encode()).hexdigest()


def create_schema(document: Any, card: Card) -> CreateSchema:
    """Return the JSON body of the entity's POST.

    Raises:
        PathMoved: the document has no such operation.
        Unreadable: it is no OpenAPI 3 document, or the schema cannot be resolved.

    """
    resolver, path = Resolver(document), card.endpoint
    if not isinstance(document, dict):
        raise Unreadable("it is not a JSON object: cut off, or another page")
    if not str(document.get("openapi", "")).startswith("3.") or not isinstance(document.get("paths"), dict):
        raise Unreadable("it is not an OpenAPI 3 document with paths")
    body = _body(resolver, document["paths"].get(path))
    if body is None:
        raise PathMoved(f"it describes no JSON body for POST {path}{_elsewhere(document, resolver, card)}")
    bodies = [option for option in resolver.options(body) if option.get("type") != "null"]
    if len(bodies) != 1:
        raise Unreadable(f"the body of POST {path} is one of {len(bodies)} schemas")
    if reason := _not_compared(bodies[0]):
        raise Unreadable(f"the body of POST {path} {reason}")
    described, required = bodies[0].get("properties"), bodies[0].get("required", [])
    if not isinstance(described, dict) or not described:
        raise Unreadable(f"the body of POST {path} has no properties")
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise Unreadable("its 'required' is malformed: not a list of names")
    return CreateSchema(
        path,
        frozenset(required),
        {name: _property(resolver, schema) for name, schema in described.items()},
        any(bodies[0].get(key) is False for key in _CLOSED),
        required_parameters(resolver, document["paths"][path]),
    )


def _not_compared(body: Schema) -> str | None:
    """Return why a body cannot be compared as a set of fields, None where it can."""
    if "type" in body and "object" not in types(body["type"]):
        return "is not an object"
    beyond = next((key for key in _BEYOND if key in body), None)
    return beyond and f"has {beyond!r}, which is not compared"


def _body(resolver: Resolver, item: Any) -> Any:
    """Return the schema of the JSON body of a path's POST, None where it has none."""
    node = item
    for step in ("post", "requestBody", "content"):
        node = resolver.follow(node)
        node = node.get(step) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        return None
    media = next((value for key, value in node.items() if key.partition(";")[0].strip().lower() == JSON_TYPE), None)
    return media.get("schema", True) if isinstance(media, dict) else None


def _elsewhere(document: Any, resolver: Resolver, card: Card) -> str:
    """Return where the schema is taken now, in words; nothing where it is not seen elsewhere."""
    name = f"#/components/schemas/{card.create_schema}"
    for path, item in document["paths"].items():
        body = _body(resolver, item) if isinstance(item, dict) and "$ref" not in item else None
        if isinstance(body, dict) and body.get("$ref") == name:
            return f"; POST {shown(path)} takes {card.create_schema}"
    return ""


def _property(resolver: Resolver, schema: Any) -> Property:
    options = list(resolver.options(schema))
    named = [[*types(option["type"]), *_nullable(option)] if "type" in option else [] for option in options]
    values = [option for option, names in zip(options, named, strict=True) if names != ["null"]]
    texts = [option for option in values if "type" not in option or "string" in types(option["type"])]
    enums = [_enum(option) for option in texts]
    return Property(
        types=() if [] in named else tuple(sorted({name for names in named for name in names} - {"null"})),
        nullable=[] in named or any("null" in names for names in named),
        formats=tuple(sorted({str(option.get("format", "")) for option in texts} - {""})),
        max_length=_loosest(texts, "maxLength", max),
        min_length=_loosest(texts, "minLength", min) or 0,
        pattern=next((str(option["pattern"]) for option in texts if "pattern" in option), None),
        enum_values=None if not enums or None in enums else _united(enum for enum in enums if enum is not None),
        read_only=any(option.get("readOnly") is True for option in options),
    )


def _nullable(option: Schema) -> list[str]:
    """Return the type that OpenAPI 3.0 writes as a flag."""
    return ["null"] if option.get("nullable") is True else []


def _loosest(options: list[Schema], key: str, loosest: Callable[[list[int]], int]) -> int | None:
    """Return the limit that a text has to keep in any case, None where one of the choices has none."""
    if not options or any(key not in option for option in options):
        return None
    return loosest([limit(option[key], key) for option in options])


def _enum(option: Schema) -> tuple[str, ...] | None:
    if "const" in option:
        return (str(option["const"]),)
    if "enum" not in option:
        return None
    if not isinstance(option["enum"], list):
        raise Unreadable("an enum in it is malformed: not a list")
    return tuple(str(value) for value in option["enum"] if value is not None)


def _united(enums: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({value for enum in enums for value in enum}))
