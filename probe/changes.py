"""Says in words what has changed between two contracts, as `CreateSchema.contract` gives them. Pure."""

from collections.abc import Iterator
from typing import Any

from probe.finding import listed, shown

Contract = dict[str, Any]


def changes(before: Contract, after: Contract) -> list[str]:
    """Return one phrase for each thing that is not as it was; an empty list when nothing has changed."""
    found = [*_of_the_body(before, after)]
    was, now = before.get("properties", {}), after.get("properties", {})
    found += [f"{name} is gone" for name in sorted(was.keys() - now.keys())]
    found += [f"{name} was not looked at before" for name in sorted(now.keys() - was.keys())]
    for name in sorted(was.keys() & now.keys()):
        keys = sorted(was[name].keys() | now[name].keys())
        found += [
            f"{name}: {_change(key, was[name].get(key), now[name].get(key))}"
            for key in keys
            if was[name].get(key) != now[name].get(key)
        ]
    return found


def _of_the_body(before: Contract, after: Contract) -> Iterator[str]:
    if before.get("path") != after.get("path"):
        yield f"the path was {before.get('path')}, is {after.get('path')}"
    if before.get("is_closed") != after.get("is_closed"):
        yield "unknown fields are now " + ("refused" if after.get("is_closed") else "dropped")
    if before.get("required") != after.get("required"):
        yield f"required: {_members(before.get('required'), after.get('required'))}"
    if before.get("parameters") != after.get("parameters"):
        yield f"required parameters: {_members(before.get('parameters'), after.get('parameters'))}"


def _change(key: str, before: Any, after: Any) -> str:
    word = key.replace("_", " ")
    if isinstance(before, list) and isinstance(after, list):
        return f"{word} {_members(before, after)}"
    return f"{word} was {_value(before)}, is {_value(after)}"


def _members(before: Any, after: Any) -> str:
    lost, gained = sorted(set(before or ()) - set(after or ())), sorted(set(after or ()) - set(before or ()))
    words = [f"lost {listed(lost)}"] if lost else []
    return " and ".join(words + ([f"gained {listed(gained)}"] if gained else []))


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return listed(value) if isinstance(value, list) else shown(str(value))
