"""Comparing what was sent with what is read back: what the platform's cleaning changes is the same, no other change."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from loader.card import Field, read_card
from loader.delivery.readback import differing_fields, sanitised, search_text, with_reference
from sandbox.entity import ENTITIES
from sandbox.schema import Schema

CARD = read_card("incident")
SCHEMA = Schema(ENTITIES["incident"])
SENT = {
    "reference_number": "R-1",
    "title": "A title",
    "description": "Text",
    "incident_type": "hazard",
    "severity": "low",
    "status": "closed",
    "incident_date": "2026-01-15",
}
STORED = SENT | {
    "id": 7,
    "incident_date": "2026-01-15T00:00:00Z",
    "location": None,
    "created_at": "2026-01-16T00:00:00Z",
}
SIGNS = [*'<>&"\0\r\n\xa0\ufeff', "\r\n", "&amp;", "&lt;", "&#13;", "&notit;", "<b>", "</b>", "<b", "<!--", "-->"]
MARKUP = st.sampled_from([*SIGNS, "<script>", "<select>", "<svg>", "<table>", "<textarea>\n", "<![CDATA["])
TEXTS = st.lists(st.one_of(MARKUP, st.text(st.characters(exclude_categories=["Cs"]), max_size=5)), max_size=8).map(
    "".join
)


def differing(stored: dict[str, Any], **sent: Any) -> list[str]:
    return differing_fields(CARD, SENT | sent, stored)


def test_what_is_stored_as_it_was_sent_is_identical():
    assert differing(STORED) == []
    assert differing({name: value for name, value in STORED.items() if name != "location"}) == []


@pytest.mark.parametrize("field", [field for field in SENT if field != "incident_date"])
@pytest.mark.parametrize("value", ["other text", "", None, 1, ["hazard"], "A title ", "HAZARD"])
def test_any_other_value_differs(field: str, value: object):
    assert differing(STORED | {field: value}) == [field]


def test_every_field_that_differs_is_named_in_the_order_of_the_card():
    assert differing({}) == [field.name for field in CARD.fields if field.name in SENT]
    assert differing(STORED | {"status": "reported", "title": "x"}) == ["title", "status"]


# What was sent, what the platform stores: API_CONTRACT, "Creating an incident".
CLEANED = [
    ("R&D", "R&amp;D"),
    ("5 < 6 > 4", "5 &lt; 6 &gt; 4"),
    ("a\xa0b", "a&nbsp;b"),
    ("one\r\ntwo", "one\ntwo"),
    ("a\0b", "ab"),
    ("<b>bold</b> text", "bold text"),
    ("&amp;lt;", "&amp;lt;"),
    ("\"quoted\" 'so'", "\"quoted\" 'so'"),
    ("caf\u00e9 \U0001f6a7", "caf\u00e9 \U0001f6a7"),
    ("a <script>alert(1)</script>b", "a b"),
]


@pytest.mark.parametrize(("sent", "stored"), CLEANED)
def test_what_cleaning_changes_is_the_same(sent: str, stored: str):
    assert sanitised(sent) == stored
    assert differing(STORED | {"description": stored}, description=sent) == []
    assert differing(STORED | {"description": stored + "."}, description=sent) == ["description"]
    if sent != stored:
        assert differing(STORED | {"description": sent}, description=sent) == ["description"]


@given(TEXTS)
@example("<b>&amp;\0\r\n\xa0")
@settings(max_examples=400)
def test_any_text_that_the_server_has_cleaned_is_the_same(text: str):
    stored = SCHEMA.parse("application/json", _body(SENT | {"description": text}), frozenset())
    assert differing(stored, description=text) == []


@given(TEXTS)
@example("&#32;<b>\x1f x\x85\n</b>&nbsp;")
@settings(max_examples=400)
def test_any_title_that_the_server_has_cleaned_is_the_same(text: str):
    assume(0 < len(sanitised(text).strip()) <= 300)
    stored = SCHEMA.parse("application/json", _body(SENT | {"title": text}), frozenset())
    assert differing(stored, title=text) == []


@pytest.mark.parametrize(
    "sent", ["Spill <br>", "<img> Spill", "&#32;Spill", "\x1cSpill\x1f", "\u3000Spill\x85", "Spill\n"]
)
def test_a_title_is_compared_stripped_and_other_texts_are_not(sent: str):
    cleaned = sanitised(sent)
    assert cleaned != "Spill"
    assert differing(STORED | {"title": "Spill"}, title=sent) == []
    assert differing(STORED | {"title": cleaned}, title=sent) == ["title"]
    assert differing(STORED | {"title": "Spil"}, title=sent) == ["title"]
    for field in ("description", "location"):
        assert differing(STORED | {field: cleaned}, **{field: sent}) == []
        assert differing(STORED | {field: "Spill"}, **{field: sent}) == [field]


@given(
    TEXTS, st.integers(0, 50), st.characters(exclude_categories=["Cs"]), st.sampled_from(["insert", "drop", "replace"])
)
@settings(max_examples=400)
def test_any_other_change_of_a_cleaned_text_differs(text: str, at: int, sign: str, kind: str):
    stored = sanitised(text)
    at %= len(stored) + 1
    changed = stored[:at] + ("" if kind == "drop" else sign) + stored[at + (kind != "insert") :]
    expected = [] if changed == stored else ["description"]
    assert differing(STORED | {"description": changed}, description=text) == expected


def _body(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


DATES = [
    ("2026-01-15", "2026-01-15T00:00:00Z", True),
    ("2026-01-15", "2026-01-15T00:00:00", True),
    ("2026-01-15", "2026-01-15", True),
    ("2026-01-15", "2026-01-15T00:00:00.000000+00:00", True),
    ("2026-01-15T09:30:00+02:00", "2026-01-15T07:30:00Z", True),
    ("2026-01-15T09:30:00Z", "2026-01-15T09:30:00+00:00", True),
    ("2026-01-15", "2026-01-15T00:00:01Z", False),
    ("2026-01-15", "2026-01-14T23:00:00Z", False),
    ("20260115", "1970-08-23T11:55:15Z", False),
    ("0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00Z", False),
    ("2026-01-15", "yesterday", False),
    ("2026-01-15", "", False),
    ("2026-01-15", None, False),
    ("2026-01-15", 1768435200, False),
]


@pytest.mark.parametrize(("sent", "stored", "same"), DATES)
def test_dates_are_compared_as_moments(sent: str, stored: object, same: bool):
    assert differing(STORED | {"incident_date": stored}, incident_date=sent) == ([] if same else ["incident_date"])


def test_what_was_not_sent_must_not_be_there_but_an_enum_has_a_default():
    without = {name: value for name, value in SENT.items() if name != "severity"}
    assert differing_fields(CARD, without, STORED | {"severity": "medium"}) == []
    assert differing(STORED | {"location": "Bay 4"}) == ["location"]
    assert differing(STORED | {"location": None}, location="Bay 4") == ["location"]
    assert differing(STORED | {"location": "Bay 4"}, location="Bay 4") == []


def test_only_the_exact_reference_is_the_record():
    items = [{"reference_number": found} for found in ("R-10", "r-1", "R-1 ", None, 1, "R-1")] + [{}]
    assert with_reference(items, "reference_number", "R-1") is items[5]
    assert with_reference(items[:5], "reference_number", "R-1") is None
    assert search_text("a\\b%_c") == "a_b%_c"


@pytest.mark.parametrize(
    ("stored", "same"),
    [("A.B@example.com", True), ("a.b@example.com", False), ("A.B@example.org", False), ("A.B", False), (None, False)],
)
def test_the_host_of_an_e_mail_address_has_no_case(stored: str | None, same: bool):
    field = Field("mail", "mail", is_required=False, is_key=False, max_length=None, format="email", enum_values=None)
    card = replace(CARD, fields=(field,))
    assert (differing_fields(card, {"mail": "A.B@EXAMPLE.com"}, {"mail": stored}) == []) is same
