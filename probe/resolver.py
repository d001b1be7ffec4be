"""Resolves the schemas of an OpenAPI document: follows `$ref`, merges `allOf`, lists the choices of `anyOf`. Pure."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from probe.finding import shown

_MAX_DEPTH, _MAX_STEPS = 20, 20_000
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

    def options(self, schema: Any, depth: int = 0) -> Iterator[Schema]:
        """Yield what a value may be: one schema without references for each choice, its siblings merged into it.

        Raises:
            Unreadable: a reference leads nowhere or to itself, or the schema is malformed or too entangled.

        """
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
        self._steps += 1
        if depth > _MAX_DEPTH or self._steps > _MAX_STEPS:
            raise Unreadable("a schema in it refers to itself, or is too entangled")
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise Unreadable("a schema in it is not an object")
        if beyond := [key for key in _BEYOND if key in schema]:
            raise Unreadable(f"a schema in it uses {beyond[0]!r}, which is not compared")
        merged = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        parts = [self._target(schema["$ref"])] if "$ref" in schema else []
        for part in parts + _list(schema.get("allOf", []), "allOf"):
            merged = _both(self._merged(part, depth + 1), merged)
        return merged

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
            shared = {name: {"allOf": [one[name], other[name]]} for name in one.keys() & other.keys()}
            merged[key] = one | other | shared
        elif key == "required":
            merged[key] = [*_list(one, key), *_list(other, key)]
        elif key == "enum":
            merged[key] = [value for value in _list(one, key) if value in _list(other, key)]
        elif key in _CHOICES or (key == "type" and one != other):
            merged[key] = _narrower(key, one, other)
        elif key in ("maxLength", "minLength"):
            merged[key] = (min if key == "maxLength" else max)(limit(one, key), limit(other, key))
        elif key == "additionalProperties":
            merged[key] = one if one is False else other
    return merged


def _narrower(key: str, one: Any, other: Any) -> Any:
    if key in _CHOICES:
        raise Unreadable(f"a schema in it combines several {key}")
    shared = [name for name in types(one) if name in types(other)]
    return shared or [f"{' and '.join(types(one))} and {' and '.join(types(other))} at once"]


def types(listed: Any) -> list[str]:
    """Return the value of a `type` as a list."""
    names = [listed] if isinstance(listed, str) else _list(listed, "type")
    if not all(isinstance(name, str) for name in names):
        raise Unreadable("a type in it is malformed")
    return names


def limit(value: Any, key: str) -> int:
    """Return the value of a `maxLength` or `minLength`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Unreadable(f"a {key} in it is malformed: not a number")
    return int(value)


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable(f"its {key!r} is malformed: not a list")
    return value
