"""Compares a card with the API's create schema. Pure: returns what would break an import, in words."""

from collections.abc import Iterator

from loader.card import Card, Field
from probe.openapi import CreateSchema, Property


def breaking_differences(card: Card, schema: CreateSchema) -> list[str]:
    """Return one sentence for each difference that would lose or refuse records; an empty list when there is none."""
    sent = {field.name for field in card.fields}
    missing = [f"requires {name}, which the card does not send" for name in sorted(schema.required - sent)]
    return missing + [difference for field in card.fields for difference in _field_differences(field, schema)]


def _field_differences(field: Field, schema: CreateSchema) -> Iterator[str]:
    theirs = schema.properties.get(field.name)
    if theirs is None:
        yield f"does not know {field.name}, so would drop it without a word"
        return
    yield from _type_differences(field, theirs)
    if field.max_length and theirs.max_length is not None and theirs.max_length < field.max_length:
        yield f"allows {field.name} {theirs.max_length} characters, the card {field.max_length}"
    if field.enum_values is not None and theirs.enum_values is not None:
        unknown = sorted(set(field.enum_values) - theirs.enum_values)
        if unknown:
            yield f"does not accept {field.name} {', '.join(unknown)}, which enum_map.csv maps to"


def _type_differences(field: Field, theirs: Property) -> Iterator[str]:
    if theirs.types and "string" not in theirs.types:
        yield f"takes {field.name} as {' or '.join(sorted(theirs.types))}, the card sends text"
