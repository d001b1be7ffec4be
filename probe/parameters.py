"""Reads the parameters that an operation requires beside its body: in header, query or cookie. Pure."""

from typing import Any

from probe.resolver import Resolver, Unreadable

# OpenAPI ignores parameters of these names: a security scheme and the body's media type say what they are.
_IGNORED_HEADERS = frozenset({"accept", "authorization", "content-type"})


def required_parameters(resolver: Resolver, item: Any) -> tuple[str, ...]:
    """Return the parameters that a path's POST requires; those of the operation come before those of the path.

    Raises:
        Unreadable: they are malformed.

    """
    item = resolver.follow(item)
    found: dict[tuple[str, str], bool] = {}
    for node in (item, resolver.follow(item["post"])):
        listed = node.get("parameters", [])
        if not isinstance(listed, list):
            raise Unreadable("its 'parameters' is malformed: not a list")
        for entry in listed:
            parameter = resolver.follow(entry)
            if not isinstance(parameter, dict):
                raise Unreadable("a parameter in it is not an object")
            place, name = (str(parameter.get(key, "")) for key in ("in", "name"))
            is_ignored = place == "path" or (place == "header" and name.lower() in _IGNORED_HEADERS)
            found[place, name] = parameter.get("required") is True and not is_ignored
    return tuple(sorted(f"{place} {name}" for (place, name), is_required in found.items() if is_required))
