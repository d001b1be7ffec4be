"""Reads the part of an OpenAPI 3 document that concerns one entity. Pure."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from loader.card import Card
from probe.finding import shown

# A schema costs as much as merging so many entries; all of it takes about a second.
_MAX_DEPTH, _MAX_STEPS, _SCHEMA_STEPS = 20, 1_000_000, 20
_CHOICES = ("anyOf", "oneOf")
# They decide by other fields or by negation what a value may be, which the comparison would have to ignore.
_BEYOND = ("not", "if", "dependentRequired", "dependentSchemas", "dependencies", "patternProperties", "$dynamicRef")
Schema = dict[str, Any]


class Unreadable(Exception):
    """The document cannot be compared; the message says why."""


class PathMoved(Unreadable):
    """The document can be read, and has no such operation."""


class Resolver:
    """Resolves the schemas of one document, in a bounded number of steps."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._steps = 0
        self._known: dict[str, Schema] = {}

    def options(self, schema: Any, depth: int = 0) -> Iterator[Schema]:
        """Yield what a value may be: one schema without references for each choice, its siblings merged into it."""
        whole = self._merged(schema, depth)
        choice = next((name for name in _CHOICES if name in whole), None)
        if choice is None:
            yield whole
            return
        if all(name in whole for name in _CHOICES):
            raise Unreadable("a schema in it combines anyOf and oneOf")
        rest = {key: value for key, value in whole.items() if key != choice}
        for option in _list(whole[choice], choice):
            for resolved in self.options(option, depth + 1):
                yield _both(rest, resolved)

    def follow(self, node: Any) -> Any:
        """Return the object that a node is, or refers to."""
        for _ in range(_MAX_DEPTH):
            if not isinstance(node, dict) or "$ref" not in node:
                return node
            node = self._target(node["$ref"])
        raise Unreadable("a reference in it refers to itself")

    def _merged(self, schema: Any, depth: int) -> Schema:
        """Return the schema with `$ref` followed and `allOf` merged into it: what holds must hold in each of them."""
        self._steps += _SCHEMA_STEPS
        if depth > _MAX_DEPTH or self._steps > _MAX_STEPS:
            raise Unreadable("a schema in it refers to itself, or is too entangled")
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise Unreadable("a schema in it is not an object")
        if beyond := [key for key in _BEYOND if key in schema]:
            raise Unreadable(f"a schema in it uses {beyond[0]!r}, which is not compared")
        merged = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        parts = [schema["$ref"]] if "$ref" in schema else []
        seen: set[int] = set()
        for part in [{"$ref": part} for part in parts] + _list(schema.get("allOf", []), "allOf"):
            resolved = self._resolved(part, depth + 1)
            # What is said again, by name, says nothing more.
            if id(resolved) not in seen:
                seen.add(id(resolved))
                self._steps += _size(merged) + _size(resolved)
                merged = _both(resolved, merged)
        return merged

    def _resolved(self, part: Any, depth: int) -> Schema:
        """Return a part merged; what is only a name is merged once."""
        if not isinstance(part, dict) or set(part) != {"$ref"} or depth > _MAX_DEPTH:
            return self._merged(part, depth)
        name = part["$ref"]
        target = self._target(name)
        if name not in self._known:
            is_name = isinstance(target, dict) and set(target) == {"$ref"}
            self._known[name] = (self._resolved if is_name else self._merged)(target, depth + 1)
        return self._known[name]

    def _target(self, reference: Any) -> Any:
        found = self._document
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise Unreadable(f"the reference {shown(repr(reference))} leads nowhere")
        for step in unquote(reference[2:]).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                raise Unreadable(f"the reference {shown(repr(reference))} leads nowhere")
            found = found[name]
        return found


def _both(first: Schema, second: Schema) -> Schema:
    """Return the schema of what satisfies both."""
    merged = first | second
    for key in first.keys() & second.keys():
        one, other = first[key], second[key]
        if key == "properties" and isinstance(one, dict) and isinstance(other, dict):
            both = one.keys() & other.keys()
            shared = {name: {"allOf": [one[name], other[name]]} for name in both if one[name] != other[name]}
            merged[key] = one | other | shared
        elif key == "required":
            merged[key] = list(dict.fromkeys([*_names(one, key), *_names(other, key)]))
        elif key == "enum":
            others = {_json(value) for value in _list(other, key)}
            merged[key] = [value for value in _list(one, key) if _json(value) in others]
        elif key in _CHOICES or (key == "type" and one != other):
            merged[key] = _narrower(key, one, other)
        elif key in ("maxLength", "minLength"):
            merged[key] = (min if key == "maxLength" else max)(_limit(one, key), _limit(other, key))
        elif key == "additionalProperties":
            merged[key] = one if one is False else other
    return merged


def _size(schema: Schema) -> int:
    """Return how many entries a merge goes through."""
    return sum(len(value) for value in schema.values() if isinstance(value, dict | list))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _narrower(key: str, one: Any, other: Any) -> Any:
    if key in _CHOICES:
        raise Unreadable(f"a schema in it combines several {key}")
    shared = [name for name in _types(one) if name in _types(other)]
    return shared or [f"{' and '.join(_types(one))} and {' and '.join(_types(other))} at once"]


def _types(listed: Any) -> list[str]:
    """Return the value of a `type` as a list."""
    return [listed] if isinstance(listed, str) else _names(listed, "type")


def _limit(value: Any, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Unreadable(f"a {key} in it is malformed: not a number")
    return int(value)


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable(f"its {key!r} is malformed: not a list")
    return value


def _names(value: Any, key: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise Unreadable(f"its {key!r} is malformed: not a list of names")
    return value


# OpenAPI ignores parameters of these names: a security scheme and the body's media type say what they are.
_IGNORED_HEADERS = frozenset({"accept", "authorization", "content-type"})


def _required_parameters(resolver: Resolver, item: Any) -> list[str]:
    """Return the parameters that a path's POST requires; those of the operation come before those of the path."""
    item = resolver.follow(item)
    found: dict[tuple[str, str], bool] = {}
    for node in (item, resolver.follow(item["post"])):
        for entry in _list(node.get("parameters", []), "parameters"):
            parameter = resolver.follow(entry)
            if not isinstance(parameter, dict):
                raise Unreadable("a parameter in it is not an object")
            place, name = (str(parameter.get(key, "")) for key in ("in", "name"))
            is_ignored = place == "path" or (place == "header" and name.lower() in _IGNORED_HEADERS)
            found[place, name] = parameter.get("required") is True and not is_ignored
    return sorted(f"{place} {name}" for (place, name), is_required in found.items() if is_required)


JSON_TYPE = "application/json"
_CLOSED = ("additionalProperties", "unevaluatedProperties")
# They limit which fields may come together, of which the card says nothing.
_BEYOND_OBJECTS = ("maxProperties", "minProperties", "propertyNames")


@dataclass(frozen=True)
class Property:
    """One property of a create schema, resolved.

    `types` is empty for any type, and never has null beside others: it is "null" or "nothing" where no text is allowed.
    """

    types: list[str]
    nullable: bool
    formats: list[str]
    max_length: int | None
    min_length: int
    pattern: str | None
    enum_values: list[str] | None
    read_only: bool = False

    def contract(self) -> dict[str, Any]:
        """Return it for the contract, as JSON holds it; read-only is in it only where it is true."""
        return {key: value for key, value in vars(self).items() if key != "read_only" or value}


@dataclass(frozen=True)
class CreateSchema:
    """The body of the entity's POST; `is_closed` where a property that it does not name is refused, not dropped.

    `parameters` are those that the POST requires beside it, as "header X-Tenant".
    """

    path: str
    required: frozenset[str]
    properties: dict[str, Property]
    is_closed: bool
    parameters: list[str]

    def contract(self, card: Card) -> dict[str, Any]:
        """Return the part that concerns us: path, required fields, and the properties of the fields that we send.

        Required parameters are in it only where there are some.
        """
        sent = {field.name for field in card.fields}
        parameters = {"parameters": self.parameters} if self.parameters else {}
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
    if "type" in bodies[0] and "object" not in _types(bodies[0]["type"]):
        raise Unreadable(f"the body of POST {path} is not an object")
    if beyond := [key for key in _BEYOND_OBJECTS if key in bodies[0]]:
        raise Unreadable(f"the body of POST {path} has {beyond[0]!r}, which is not compared")
    described, required = bodies[0].get("properties"), bodies[0].get("required", [])
    if not isinstance(described, dict) or not described:
        raise Unreadable(f"the body of POST {path} has no properties")
    return CreateSchema(
        path,
        frozenset(_names(required, "required")),
        {name: _property(resolver, schema) for name, schema in described.items()},
        any(bodies[0].get(key) is False for key in _CLOSED),
        _required_parameters(resolver, document["paths"][path]),
    )


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
    named = [_named(option) for option in options]
    texts = [option for option, names in zip(options, named, strict=True) if names is None or "string" in names]
    enums = [_enum(option) for option in texts]
    return Property(
        types=_types_of_values(named),
        nullable=any(names is None or "null" in names for names in named),
        formats=sorted({str(option.get("format", "")) for option in texts} - {""}),
        max_length=_loosest(texts, "maxLength", max),
        min_length=_loosest(texts, "minLength", min) or 0,
        pattern=next((str(option["pattern"]) for option in texts if "pattern" in option), None),
        enum_values=None if not enums or None in enums else sorted(set().union(*filter(None, enums))),
        read_only=any(option.get("readOnly") is True for option in options),
    )


def _named(option: Schema) -> set[str] | None:
    """Return the types that a choice allows, None for any. OpenAPI 3.0 writes null as a flag."""
    if "type" not in option:
        return None
    return set(_types(option["type"])) | ({"null"} if option.get("nullable") is True else set())


def _types_of_values(named: list[set[str] | None]) -> list[str]:
    """Return the types of a property; a choice among none, or a list of none, allows nothing."""
    known = [names for names in named if names is not None]
    if len(known) < len(named):
        return []
    allowed = set().union(*known)
    return sorted(allowed - {"null"}) or (["null"] if allowed else ["nothing"])


def _loosest(options: list[Schema], key: str, loosest: Callable[[list[int]], int]) -> int | None:
    """Return the limit that a text has to keep in any case, None where one of the choices has none."""
    if not options or any(key not in option for option in options):
        return None
    return loosest([_limit(option[key], key) for option in options])


def _enum(option: Schema) -> set[str] | None:
    if "const" in option:
        return {str(option["const"])}
    if "enum" not in option:
        return None
    if not isinstance(option["enum"], list):
        raise Unreadable("an enum in it is malformed: not a list")
    return {str(value) for value in option["enum"] if value is not None}
