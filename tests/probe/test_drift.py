"""The comparison of the card with an OpenAPI document: one changed document per kind of drift, and what is found."""

from typing import Any

import pytest

from probe.checks import compared, contract_check
from probe.finding import Finding, Kind
from probe.openapi import fingerprint
from tests.probe.documents import (
    TEXT,
    TITLE_LIMIT,
    Change,
    as_3_0,
    as_large,
    body,
    changed,
    close,
    document,
    enum_inline,
    inherit,
    move_body,
    move_enum,
    move_schema,
    operation,
    properties,
    rename,
    rename_required,
    schemas,
    setting,
)
from tests.support import CARD, FIELDS

Found = tuple[str, str, str | None]
# Where the platform's own document is looser than the card from the start.
KNOWN: list[Found] = [
    ("limit_raised", "notice", "reference_number"),
    ("limit_removed", "notice", "description"),
]
NULL = {"type": "null"}
DESCRIPTION_LIMIT = FIELDS["description"].max_length
OPTIONAL_TEXT = {"type": "string", "maxLength": FIELDS["location"].max_length}


def findings(*changes: Change) -> list[Finding]:
    return compared(changed(*changes), CARD)[1]


def kinds(found: list[Finding]) -> list[Found]:
    """Return kind, severity and field of each finding, without those that are there from the start."""
    named = [(finding.kind.value, finding.severity.value, finding.field) for finding in found]
    return [entry for entry in named if entry not in KNOWN]


def test_the_platforms_own_document():
    contract, found = compared(document(), CARD)
    assert [(finding.kind, finding.severity, finding.field) for finding in found] == KNOWN
    assert contract_check(CARD, found).passed
    assert contract is not None
    assert contract["properties"].keys() == {field.name for field in CARD.fields}
    assert contract["properties"]["title"]["max_length"] == TITLE_LIMIT
    assert "hazard" in contract["properties"]["incident_type"]["enum_values"]


@pytest.mark.parametrize(
    "change",
    [move_schema, move_enum, move_body, as_3_0, as_large,
     lambda of: operation(of).update(summary="Another"),
     lambda of: properties(of).update(title=properties(of)["title"] | {"description": "Another", "examples": ["x"]}),
     setting("location", OPTIONAL_TEXT | {"type": ["string", "null"]}),
     setting("location", {"oneOf": [OPTIONAL_TEXT, NULL]}),
     setting("location", {"anyOf": [{"type": "string"}, NULL], "maxLength": OPTIONAL_TEXT["maxLength"]}),
     lambda of: body(of)["required"].append("severity")],
    ids=["schema", "enum", "body", "3.0", "1.5 MB", "words", "examples", "types", "oneOf", "sibling", "always sent"],
)  # fmt: skip
def test_no_difference(change: Change):
    assert kinds(findings(change)) == []


@pytest.mark.parametrize("change", [move_schema, move_enum, move_body, as_3_0, as_large])
def test_the_same_contract_in_another_form_has_the_same_fingerprint(change: Change):
    before, after = compared(document(), CARD)[0], compared(changed(change), CARD)[0]
    assert before is not None
    assert after is not None
    assert fingerprint(before) == fingerprint(after)


def test_another_contract_has_another_fingerprint():
    contracts = [compared(changed(change), CARD)[0] for change, *_ in BREAKING]
    prints = [fingerprint(contract) for contract in contracts if contract is not None]
    assert len(prints) == len(BREAKING)
    assert fingerprint(compared(document(), CARD)[0] or {}) not in prints


# They take no text at all.
NO_TEXT: list[dict[str, Any]] = [
    NULL,
    {"type": ["null"]},
    {"type": []},
    {"anyOf": []},
    {"anyOf": [NULL]},
    {"allOf": [NULL, {"anyOf": [{"type": "string"}, NULL]}]},
]
BREAKING: list[tuple[Change, str, str]] = [
    (lambda of: properties(of).pop("location"), "field_unknown", "location"),
    (lambda of: body(of)["required"].append("location"), "field_required", "location"),
    (lambda of: body(of)["required"].append("site"), "field_required", "site"),
    (lambda of: schemas(of)["IncidentType"]["enum"].remove("quality"), "enum_value_lost", "incident_type"),
    (enum_inline, "enum_value_lost", "incident_type"),
    (setting("title", TEXT | {"maxLength": TITLE_LIMIT - 1}), "limit_lowered", "title"),
    (setting("title", {"type": "string", "maxLength": 0}), "limit_lowered", "title"),
    (setting("description", TEXT | {"maxLength": DESCRIPTION_LIMIT - 1}), "limit_lowered", "description"),
    (setting("location", {"anyOf": [{"type": "string", "maxLength": 5}, NULL]}), "limit_lowered", "location"),
    (inherit, "limit_lowered", "title"),
    (setting("severity", {"type": "integer"}), "type_changed", "severity"),
    (setting("severity", {"type": ["integer", "null"]}), "type_changed", "severity"),
    (setting("location", {"anyOf": [{"type": "object"}, NULL]}), "type_changed", "location"),
    *((setting("title", nothing), "type_changed", "title") for nothing in NO_TEXT),
    (setting("incident_date", {"type": "string", "format": "date"}), "format_changed", "incident_date"),
    (setting("title", TEXT | {"format": "uuid"}), "format_changed", "title"),
    (setting("title", TEXT | {"minLength": 10}), "minimum_raised", "title"),
    (setting("title", TEXT | {"pattern": "^[A-Z]"}), "pattern_added", "title"),
    (setting("title", TEXT | {"enum": ["A"]}), "enum_value_lost", "title"),
    (lambda of: schemas(of)["IncidentType"].update(maxLength=8), "limit_lowered", "incident_type"),
    (
        setting("incident_date", {"type": "string", "format": "date-time", "maxLength": 10}),
        "limit_lowered",
        "incident_date",
    ),
    (lambda of: properties(of)["location"].update(readOnly=True), "field_unknown", "location"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "field"), BREAKING)
def test_breaking_difference(change: Change, kind: str, field: str):
    found = findings(change)
    assert kinds(found) == [(kind, "breaking", field)]
    check = contract_check(CARD, found)
    assert not check.passed
    assert field in check.found


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda of: schemas(of)["IncidentType"]["enum"].append("volcano"), ("enum_value_added", "incident_type")),
        (setting("title", TEXT | {"maxLength": TITLE_LIMIT + 1}), ("limit_raised", "title")),
        (setting("title", {"type": "string"}), ("limit_removed", "title")),
        (setting("note", {"type": "string"}), ("optional_field_added", "note")),
        (setting("location", OPTIONAL_TEXT), ("nullable_dropped", "location")),
        (setting("incident_date", {"type": "string"}), ("format_changed", "incident_date")),
        (close, ("additional_properties_forbidden", None)),
    ],
)
def test_notice(change: Change, expected: tuple[str, str | None]):
    found = findings(change)
    assert kinds(found) == [(expected[0], "notice", expected[1])]
    assert contract_check(CARD, found).passed


def test_a_renamed_field_is_lost_and_its_new_name_is_seen():
    assert kinds(findings(rename)) == [
        ("field_unknown", "breaking", "location"),
        ("optional_field_added", "notice", "place"),
    ]
    required = kinds(findings(rename_required))
    assert required == [("field_required", "breaking", "heading"), ("field_unknown", "breaking", "title")]
    closed = findings(rename, close)[0]
    assert "would refuse" in closed.message


def test_each_lost_value_is_found_by_itself():
    def lose(of: object) -> None:
        schemas(of)["IncidentType"]["enum"] = ["injury", "near_miss", "other", "hazard", "security"]

    lost = [finding.value for finding in findings(lose) if finding.kind is Kind.ENUM_VALUE_LOST]
    assert lost == ["environmental", "property_damage", "quality"]
