"""What the headers of an answer say about waiting; what is nonsense counts as not sent."""

from datetime import UTC, datetime

import pytest

from loader.api.headers import header_number, retry_after

TODAY = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
CAP = 300.0
FORMS = {
    "seconds": ("17", 17.0),
    "seconds with spaces": (" 17 ", 17.0),
    "leading noughts": ("0017", 17.0),
    "nought": ("0", 0.0),
    "over the cap": ("86400", CAP),
    "far too long": ("9" * 5000, 0.0),
    "long": ("9" * 400, CAP),
    "HTTP date": ("Mon, 23 Nov 2026 12:00:40 GMT", 40.0),
    "RFC 850 date": ("Monday, 23-Nov-26 12:00:40 GMT", 40.0),
    "asctime date": ("Mon Nov 23 12:00:40 2026", 40.0),
    "date with a zone": ("Mon, 23 Nov 2026 13:00:40 +0100", 40.0),
    "date over the cap": ("Mon, 23 Nov 2099 12:00:40 GMT", CAP),
    "past date": ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
    "no such date": ("Mon, 99 Nov 2026 12:00:40 GMT", 0.0),
    "no such year": ("Mon, 23 Nov 99999999999 12:00:40 GMT", 0.0),
    "no such zone": ("Mon, 23 Nov 2026 12:00:40 +9999999", 0.0),
    "ISO date": ("2026-11-23T12:00:40Z", 0.0),
    "negative": ("-5", 0.0),
    "signed": ("+5", 0.0),
    "fraction": ("1.5", 0.0),
    "exponent": ("1e3", 0.0),
    "NaN": ("nan", 0.0),
    "infinite": ("inf", 0.0),
    "empty": ("", 0.0),
    "blank": ("   ", 0.0),
    "list": ("1, 2", 0.0),
    "with unit": ("60s", 0.0),
    "underscore": ("1_0", 0.0),
    "other digits": ("\u0661\u0662", 0.0),
    "superscript": ("\u00b2", 0.0),
    "words": ("soon", 0.0),
    "NUL": ("1\x00", 0.0),
    "day alone": ("Monday", 0.0),
    "day and nonsense": ("Mon, " + "x" * 40, 0.0),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_retry_after(name: str):
    text, seconds = FORMS[name]
    assert retry_after({"Retry-After": text}, CAP, TODAY) == seconds


def test_an_answer_without_it_asks_for_nothing():
    assert retry_after({}, CAP, TODAY) == 0.0


def test_a_date_is_held_against_the_clock_that_wrote_it():
    headers = {"Retry-After": "Mon, 23 Nov 2026 08:00:40 GMT", "Date": "Mon, 23 Nov 2026 08:00:00 GMT"}
    assert retry_after(headers, CAP, TODAY) == 40.0
    assert retry_after(headers | {"Date": "yesterday"}, CAP, TODAY) == 0.0


NUMBERS = {"60": 60, " 0 ": 0, "1000000": 1_000_000, "1000001": None, "-1": None, "6e1": None, "60, 60": None, "": None}


@pytest.mark.parametrize("text", NUMBERS)
def test_a_limit_is_a_whole_number_or_nothing(text: str):
    assert header_number({"X-RateLimit-Limit": text}, "X-RateLimit-Limit") == NUMBERS[text]


def test_a_header_that_is_absent_is_nothing():
    assert header_number({}, "X-RateLimit-Limit") is None
