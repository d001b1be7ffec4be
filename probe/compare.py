"""Compares a card with the API's create schema. Pure: returns the differences, each with its kind and severity."""

from collections.abc import Iterator
from typing import Any

from loader.card import Card, Field
from probe.finding import Finding, Kind, Severity, listed, shown
from probe.openapi import CreateSchema, Property

Contract = dict[str, Any]
_OF_THE_BODY = {
    "path": "the path",
    "is_closed": "",
    "required": "required:",
    "parameters": "required parameters:",
}
_CLOSED = {True: "unknown fields are now refused", False: "unknown fields are now dropped"}


def changes(before: Contract, after: Contract) -> list[str]:
    """Return one phrase for each thing that is not as it was; an empty list when nothing has changed."""
    found = []
    for key, words in _OF_THE_BODY.items():
        was, now = before.get(key, []), after.get(key, [])
        if was != now:
            found.append(_change(words, was, now) if key != "is_closed" else _CLOSED[bool(now)])
    was, now = before.get("properties", {}), after.get("properties", {})
    found += [f"{name} is gone" for name in sorted(was.keys() - now.keys())]
    found += [f"{name} was not looked at before" for name in sorted(now.keys() - was.keys())]
    found += [
        _change(f"{name}: {key.replace('_', ' ')}", was[name].get(key), now[name].get(key))
        for name in sorted(was.keys() & now.keys())
        for key in sorted(was[name].keys() | now[name].keys())
        if was[name].get(key) != now[name].get(key)
    ]
    return found


def _change(words: str, before: Any, after: Any) -> str:
    if not isinstance(before, list) or not isinstance(after, list):
        return f"{words} was {_value(before)}, is {_value(after)}"
    lost, gained = sorted(set(before) - set(after)), sorted(set(after) - set(before))
    parts = [f"{verb} {listed(names)}" for verb, names in (("lost", lost), ("gained", gained)) if names]
    return f"{words} {' and '.join(parts)}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return listed(value) if isinstance(value, list) else shown(str(value))


# Of one kind; what they are more than that is one finding.
_MOST = 50
BREAKING, NOTICE = Severity.BREAKING, Severity.NOTICE
# Formats of a text that take what a card's format allows; none at all takes everything.
_TAKEN = {"date": frozenset({"date-time"}), "email": frozenset({"email"}), None: frozenset[str]()}


def differences(card: Card, schema: CreateSchema) -> list[Finding]:
    """Return every difference between what the card sends and what the schema takes; an empty list when there is none.

    Breaking is what would lose or refuse records; a notice is where theirs is looser, or another that costs nothing.
    """
    found = [*_body_differences(card, schema)]
    for field in card.fields:
        theirs = schema.properties.get(field.name)
        if theirs is None or theirs.read_only:
            found.append(_unknown(field, schema))
            continue
        is_text = not theirs.types or "string" in theirs.types
        for compare in (_format, _nullable, _enum, _limit, _beyond_the_card) if is_text else (_other_type,):
            found += compare(field, theirs)
        if field.name in schema.required and not field.is_always_sent:
            message = f"the API requires {field.name}, which the card leaves out where it is blank"
            found.append(Finding(Kind.FIELD_REQUIRED, BREAKING, message, field.name))
    return sorted(found, key=lambda finding: not finding.is_breaking)


def _body_differences(card: Card, schema: CreateSchema) -> Iterator[Finding]:
    sent = {field.name for field in card.fields}
    required = sorted(schema.required - sent)
    for name in required[:_MOST]:
        message = f"the API requires {shown(name)}, which the card does not send"
        yield Finding(Kind.FIELD_REQUIRED, BREAKING, message, shown(name))
    if len(required) > _MOST:
        message = f"the API requires {len(required) - _MOST:,} more fields, which the card does not send"
        yield Finding(Kind.FIELD_REQUIRED, BREAKING, message)
    for parameter in schema.parameters[:_MOST]:
        message = f"the API requires the parameter {shown(parameter)}, which the loader does not send"
        yield Finding(Kind.FIELD_REQUIRED, BREAKING, message)
    if added := sorted(schema.properties.keys() - schema.required - sent):
        message = f"the API also takes {listed(added)}, which the card does not send"
        yield Finding(Kind.OPTIONAL_FIELD_ADDED, NOTICE, message, shown(added[0]) if len(added) == 1 else None)
    if schema.is_closed:
        # A field that it does not know is breaking in any case, and is named by itself.
        yield Finding(Kind.ADDITIONAL_PROPERTIES_FORBIDDEN, NOTICE, "the API refuses fields that it does not know")


def _unknown(field: Field, schema: CreateSchema) -> Finding:
    loses = "refuse" if schema.is_closed else "drop"
    message = f"the API does not know {field.name}, so would {loses} it"
    if field.name in schema.properties:
        message = f"the API only answers with {field.name} (readOnly), so would ignore it"
    lost = "would be refused" if schema.is_closed else "would lose it without a word"
    return Finding(Kind.FIELD_UNKNOWN, BREAKING, message, field.name, effect=lost)


def _other_type(field: Field, theirs: Property) -> Iterator[Finding]:
    message = f"the API takes {field.name} as {shown(' or '.join(theirs.types))}, the card sends text"
    yield Finding(Kind.TYPE_CHANGED, BREAKING, message, field.name)


def _format(field: Field, theirs: Property) -> Iterator[Finding]:
    taken = _TAKEN.get(field.format, frozenset())
    if theirs.formats and taken.isdisjoint(theirs.formats):
        message = f"the API takes {field.name} as {listed(theirs.formats)}, the card sends {field.format or 'text'}"
        # A card's date may also be a date-time, which only a plain date-time takes.
        yield Finding(Kind.FORMAT_CHANGED, BREAKING, message, field.name, shown(theirs.formats[0]))
    elif field.format and not theirs.formats:
        message = f"the API names no format of {field.name}, the card has {field.format}"
        yield Finding(Kind.FORMAT_CHANGED, NOTICE, message, field.name)


def _nullable(field: Field, theirs: Property) -> Iterator[Finding]:
    if not theirs.nullable and not field.is_always_sent:
        message = f"the API takes no null for {field.name}; the loader sends none, a blank one is left out"
        yield Finding(Kind.NULLABLE_DROPPED, NOTICE, message, field.name)


def _enum(field: Field, theirs: Property) -> Iterator[Finding]:
    if theirs.enum_values is None:
        return
    if field.enum_values is None:
        message = f"the API takes only {listed(theirs.enum_values)} for {field.name}, the card any text"
        yield Finding(Kind.ENUM_VALUE_LOST, BREAKING, message, field.name)
        return
    for value in field.enum_values:
        if value not in theirs.enum_values:
            message = f"their enum of {field.name} lost {value!r}, which enum_map.csv maps to"
            yield Finding(Kind.ENUM_VALUE_LOST, BREAKING, message, field.name, value)
    if added := [value for value in theirs.enum_values if value not in field.enum_values]:
        message = f"their enum of {field.name} also has {listed(added)}, which enum_map.csv does not map to"
        yield Finding(Kind.ENUM_VALUE_ADDED, NOTICE, message, field.name)


def _limit(field: Field, theirs: Property) -> Iterator[Finding]:
    ours, longest, most = field.max_length, _longest(field), theirs.max_length
    if most is None:
        if ours is not None and longest is None:
            message = f"the API names no limit of {field.name}, the card {ours}"
            yield Finding(Kind.LIMIT_REMOVED, NOTICE, message, field.name)
        return
    if longest is not None:
        is_lower, has = most < longest, f"sends {longest}"
    else:
        is_lower, has = (most < ours, str(ours)) if ours is not None else (not field.format, "any number")
    message = f"the API allows {field.name} {most} characters, the card {has}"
    if is_lower:
        yield Finding(Kind.LIMIT_LOWERED, BREAKING, message, field.name, most)
    elif longest is None and ours is not None and most > ours:
        yield Finding(Kind.LIMIT_RAISED, NOTICE, message, field.name, most)


def _longest(field: Field) -> int | None:
    """Return the length of the longest text of a field whose texts are known, None where any text may come."""
    if field.enum_values is not None:
        return max(map(len, field.enum_values), default=0)
    # A card's date may also be a date-time, in seconds and with a zone as the shortest of them.
    return len("2026-01-15T09:30:00Z") if field.format == "date" and field.max_length is None else None


def _beyond_the_card(field: Field, theirs: Property) -> Iterator[Finding]:
    """Yield what the API asks of a text and the card has no word for."""
    least = field.min_length or 1
    if theirs.min_length > least:
        message = f"the API wants {field.name} to have {theirs.min_length} characters at least, the card {least}"
        yield Finding(Kind.MINIMUM_RAISED, BREAKING, message, field.name, theirs.min_length)
    if theirs.pattern is not None:
        message = f"the API wants {field.name} to match {shown(theirs.pattern)!r}, which the card does not know"
        yield Finding(Kind.PATTERN_ADDED, BREAKING, message, field.name)
