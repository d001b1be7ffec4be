"""The routing table: what every answer of the API means, and how long the next attempt waits."""

import json
import re

import pytest

from loader.api.answer import Answer, Loss, is_lost
from loader.card import read_card
from loader.delivery.verdict import STORED_MESSAGE_BYTES, Action, Result, Verdict, api_message, backoff, judge
from tests.support import ROOT

CARD, KEY, REFERENCE = read_card("incident"), "reference_number", "EXT-2026-0001"
DUPLICATE = {"error": {"code": "DUPLICATE_ENTITY", "message": "exists already"}}
IDEMPOTENCY = {"error": {"code": "IDEMPOTENCY_CONFLICT", "message": "same key, other body"}}
BLOCKED = {"error_class": "UAT_WRITE_BLOCKED", "detail": "Writes are disabled on this environment"}
REFUSED = {"error": {"code": "VALIDATION_ERROR", "message": "no"}}
ECHO = {"id": 7, KEY: REFERENCE}


def answer(status: int, document: object = None, body: bytes | None = None) -> Answer:
    return Answer(status, 1.0, body=json.dumps(document).encode() if body is None else body)


def verdict(given: Answer, *, may_be_ours: bool = False) -> Verdict:
    return judge(given, CARD, REFERENCE, may_be_ours=may_be_ours)


STOP, SETTLE, RETRY, WAIT = Action.STOP, Action.SETTLE, Action.RETRY, Action.WAIT
# Answer; then what to do, and what became of the record without and with an earlier attempt that may be stored.
TABLE = {
    "201 echo": (answer(201, ECHO), SETTLE, Result.CREATED, Result.CREATED),
    "201 other reference": (answer(201, {"id": 7, KEY: "EXT-2026-0002"}), STOP, Result.UNKNOWN, Result.UNKNOWN),
    "201 without reference": (answer(201, {"id": 7}), STOP, Result.UNKNOWN, Result.UNKNOWN),
    "201 a list": (answer(201, [ECHO]), STOP, Result.UNKNOWN, Result.UNKNOWN),
    "201 HTML": (answer(201, body=b"<html>"), STOP, Result.UNKNOWN, Result.UNKNOWN),
    "200": (answer(200, ECHO), STOP, Result.UNKNOWN, Result.UNKNOWN),
    "202": (answer(202, ECHO), STOP, Result.UNKNOWN, Result.UNKNOWN),
    "204": (answer(204, body=b""), STOP, Result.UNKNOWN, Result.UNKNOWN),
    "302": (answer(302, body=b""), STOP, Result.UNKNOWN, Result.UNKNOWN),
    "307": (answer(307, body=b""), STOP, Result.UNKNOWN, Result.UNKNOWN),
    "409 idempotency": (answer(409, IDEMPOTENCY), SETTLE, Result.FAILED, Result.UNKNOWN),
    "400": (answer(400, REFUSED), SETTLE, Result.FAILED, Result.UNKNOWN),
    "404": (answer(404, REFUSED), SETTLE, Result.FAILED, Result.UNKNOWN),
    "422": (answer(422, REFUSED), SETTLE, Result.FAILED, Result.FAILED),
    "401": (answer(401, REFUSED), STOP, Result.NOT_ATTEMPTED, Result.UNKNOWN),
    "403": (answer(403, REFUSED), STOP, Result.NOT_ATTEMPTED, Result.UNKNOWN),
    "429": (answer(429, {"detail": "slow down"}), WAIT, Result.NOT_ATTEMPTED, Result.UNKNOWN),
    "500": (answer(500, REFUSED), RETRY, Result.UNKNOWN, Result.UNKNOWN),
    "502": (answer(502, body=b"<html>"), RETRY, Result.UNKNOWN, Result.UNKNOWN),
    "503": (answer(503, body=b""), RETRY, Result.UNKNOWN, Result.UNKNOWN),
    "504": (answer(504, body=b""), RETRY, Result.UNKNOWN, Result.UNKNOWN),
    "not sent": (Answer(None, 1.0, loss=Loss.NOT_SENT), RETRY, Result.NOT_ATTEMPTED, Result.UNKNOWN),
    "no answer": (Answer(None, 1.0, loss=Loss.NO_ANSWER), RETRY, Result.UNKNOWN, Result.UNKNOWN),
}


@pytest.mark.parametrize("name", TABLE)
def test_every_answer_has_its_meaning(name: str):
    given, action, result, result_after_unknown = TABLE[name]
    first, later = verdict(given), verdict(given, may_be_ours=True)
    assert (first.action, first.result) == (action, result)
    assert (later.action, later.result) == (action, result_after_unknown)
    assert first.confirmed_by is None


def test_a_duplicate_is_looked_at_when_it_may_be_ours():
    """A 409 alone never makes a record ours: it may have been there for long."""
    first, later = verdict(answer(409, DUPLICATE)), verdict(answer(409, DUPLICATE), may_be_ours=True)
    assert (first.action, first.result) == (SETTLE, Result.EXISTS)
    assert (later.action, later.result, later.confirmed_by) == (Action.LOOK_UP, Result.UNKNOWN, None)


def runbook_rows() -> list[tuple[set[int], str]]:
    """Return the rows of the RUNBOOK's table of answers: the statuses, and what the record is."""
    section = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8").split("What an answer means:")[1].split("\n\n")[1]
    rows = []
    for line in section.splitlines()[2:]:
        answers, record, _ = line.strip("| ").split(" | ")
        spans = re.findall(r"\b(\d{3})(?: to (\d{3}))?\b", answers)
        statuses = {status for first, last in spans for status in range(int(first), int(last or first) + 1)}
        rows.append((statuses, record))
    return rows


# What the runbook's second column begins with, by what the loader does with a body that says nothing.
WORDS = {
    (RETRY, Result.UNKNOWN): "sent again up to",
    (SETTLE, Result.FAILED): "`failed`",
    (STOP, Result.UNKNOWN): "`unknown`",
    (WAIT, Result.NOT_ATTEMPTED): "waiting",
}


def test_the_runbook_has_every_status_once_and_says_what_the_loader_does():
    rows = runbook_rows()
    found = {status: [record for statuses, record in rows if status in statuses] for status in range(100, 600)}
    several = {201, 409}  # by what their body says
    assert {status: found[status] for status in found if len(found[status]) != 1 and status not in several} == {}
    for status in range(200, 600):
        given = verdict(answer(status, {"detail": "x"}))
        if status in (401, 403, *several):
            continue
        assert found[status][0].startswith(WORDS[given.action, given.result]), status
    assert all(found[status][0] == "as before" for status in range(100, 200))


def test_every_status_that_can_hide_a_stored_record_leaves_it_unknown():
    for status in range(100, 600):
        given = verdict(answer(status, {"detail": "x"}))
        lost = status in (408, 425) or status >= 500
        assert is_lost(status) == lost == (given.action is RETRY), status
        assert given.result is Result.UNKNOWN or not lost, status
    assert is_lost(None)


def test_a_403_names_the_permission_and_who_gives_it():
    said = {"error": {"code": "PERMISSION_DENIED", "message": "Permission 'incident:create' required"}}
    message = verdict(answer(403, said)).message or ""
    assert "lacks the permission incident:create " in message
    assert "ask the platform team for it" in message
    assert "refresh" not in message
    said = {"error": {"code": "PERMISSION_DENIED", "message": "Not authorized to set explicit reference numbers"}}
    message = verdict(answer(403, said)).message or ""
    assert "lacks the permission incident:set_reference_number " in message
    gateway = verdict(answer(403, body=b"<html style='color:red'>no</html>")).message or ""
    assert "lacks the permission incident:create or incident:set_reference_number " in gateway


def test_a_read_only_platform_stops_the_run():
    found = verdict(answer(409, BLOCKED))
    assert (found.action, found.result) == (STOP, Result.NOT_ATTEMPTED)
    assert "Writes are disabled" in (found.message or "")


def test_a_read_only_platform_does_not_unsay_an_attempt_that_may_be_stored():
    assert verdict(answer(409, BLOCKED), may_be_ours=True).result is Result.UNKNOWN


def test_a_creation_says_how_it_is_known():
    assert verdict(answer(201, ECHO)).api_id == "7"
    assert verdict(answer(201, ECHO), may_be_ours=True).confirmed_by is None


def test_only_what_the_api_says_of_a_record_is_kept():
    assert verdict(answer(422, REFUSED)).message == "VALIDATION_ERROR: no"
    listed = {"error": {"code": "V", "message": "bad", "details": {"errors": [{"field": "title", "message": "long"}]}}}
    assert verdict(answer(422, listed)).message == "V: bad title: long"
    assert "QGP_API_TOKEN" in (verdict(answer(401, REFUSED)).message or "")


@pytest.mark.parametrize("attempt", range(1, 12))
def test_backoff_stays_within_its_bounds(attempt: int):
    whole = min(0.5 * 2 ** (attempt - 1), 20)
    drawn = {backoff(attempt, 0.5, 20) for _ in range(200)}
    assert whole / 2 <= min(drawn) < max(drawn) <= whole
    assert backoff(attempt, 0.5, 20, draw=1.0) == whole
    assert backoff(attempt, 0.5, 20, draw=0.5) == whole / 2


BODIES = {
    "HTML": b"<html>\r\n<h1>Bad\x1b[31m Gateway</h1>\n" + b"x" * 5000,
    "empty": b"",
    "invalid UTF-8": b"\xff\xfe\x00 \x80" * 900,
    "NUL": b"\x00\x07\x1b]0;title\x07",
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep detail": b'{"detail": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "long message": json.dumps({"error": {"code": "X", "message": "long " * 2000}}).encode(),
    "control characters": json.dumps({"error": {"code": "\x1b[2J", "message": "a\r\nb\u202e\ud800" * 900}}).encode(),
    "odd error": b'{"error": "text"}',
    "odd errors": b'{"error": {"code": 1, "details": {"errors": [1, null, {"field": null}]}}}',
    "odd details": b'{"error": {"code": 1, "details": ["errors"]}}',
    "long digits": b'{"detail": ' + b"9" * 6000 + b"}",
    "NaN": b'{"detail": NaN}',
    "null": b"null",
}


@pytest.mark.parametrize("name", BODIES)
def test_any_body_becomes_a_short_printable_message(name: str):
    message = api_message(Answer(500, 1.0, body=BODIES[name]))
    assert 0 < len(message.encode()) <= STORED_MESSAGE_BYTES == 2000
    assert message.isprintable()
    message.encode()


def test_control_characters_are_shown_not_sent_to_the_terminal():
    message = api_message(Answer(500, 1.0, body=b"a\x1b[31mb\nc"))
    assert message == "a\\x1b[31mb\\x0ac"


def test_an_empty_body_says_so():
    assert api_message(Answer(503, 1.0)) == "no body"


@pytest.mark.parametrize("depth", range(850, 1010))
@pytest.mark.parametrize("opening", ['{"detail": ', '{"error": {"code": "X", "message": '])
def test_json_of_just_about_any_depth_is_survived(opening: str, depth: int):
    body = opening + "[" * depth + "]" * depth + "}" * opening.count("{")
    assert len(api_message(Answer(500, 1.0, body=body.encode()))) <= STORED_MESSAGE_BYTES
