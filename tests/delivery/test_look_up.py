"""A record is ours after a lost answer only with proof: seen, equal to what was sent, created since our first try."""

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loader.api.client import Api
from loader.api.tokens import Tokens
from loader.card import read_card
from loader.config import Delivery, load_settings
from loader.delivery.pace import Pace
from loader.delivery.record import Outcome, PayloadRecord
from loader.delivery.verdict import Result
from loader.delivery.workers import Route, Workers
from sandbox.entity import ENTITIES
from sandbox.process import Sandbox, running_sandbox
from tests.hostile import LIST

CARD, REFERENCE = read_card("incident"), "L-1"
READ, CREATE, SET_REFERENCE = ENTITIES["incident"].permissions
SENT = {
    "reference_number": REFERENCE,
    "title": "Spill & slip <b>",
    "description": "Oil on the floor",
    "incident_type": "hazard",
    "severity": "low",
    "status": "reported",
    "incident_date": "2026-01-15",
}
RECORD = PayloadRecord(1, 2, "hash", REFERENCE, SENT)
QUICK = {"backoff_seconds": 0.01, "backoff_max_seconds": 0.05, "read_timeout_seconds": 2, "max_attempts": 2}
CONFIRMED = (Result.CREATED, "conflict_after_unknown")
NOT_OURS = (Result.EXISTS, None)


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def settings(**changed: float) -> Delivery:
    return replace(load_settings().delivery, **(QUICK | changed))


def posted(sandbox: Sandbox, record: PayloadRecord, token: str | None = None, delivery: Delivery | None = None):
    """Post one record; return its outcome."""
    return all_posted(sandbox, [record], token, delivery or settings())[0]


def all_posted(sandbox: Sandbox, records: Sequence[PayloadRecord], token: str | None, delivery: Delivery):
    tokens, pace = Tokens(token or sandbox.token(), None, lambda _: None), Pace(delivery, lambda _: None)
    with (
        Api(sandbox.url, tokens, connect_seconds=2, read_seconds=delivery.read_timeout_seconds) as api,
        Workers(api, Route(CARD, delivery), pace) as workers,
    ):
        return [outcome for group in workers.deliver(iter([records]), lambda _: None) for outcome in group]


def result(outcome: Outcome) -> tuple[Result, str | None]:
    return outcome.result, outcome.confirmed_by


def date_back(tmp_path: Path, seconds: float) -> None:
    """Have the stored records be that much older."""
    created = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    with sqlite3.connect(tmp_path / "sandbox.sqlite") as connection:
        connection.execute("update incidents set created_at = ?", [created])


LOST = {
    "408": ("status_after_commit", {"value": 408}),
    "425": ("status_after_commit", {"value": 425}),
    "500": ("status_after_commit", {"value": 500}),
    "520": ("status_after_commit", {"value": 520}),
    "524": ("status_after_commit", {"value": 524}),
    "599": ("status_after_commit", {"value": 599}),
    "cut": ("drop_after_commit", {}),
    "slow body": ("slow_body", {}),
    "slow head": ("slow_head", {}),
    "interim": ("interim", {}),
}


@pytest.mark.parametrize("name", LOST)
def test_what_was_stored_behind_a_lost_answer_is_ours(sandbox: Sandbox, name: str):
    kind, options = LOST[name]
    sandbox.fault(kind, **options)
    outcome = posted(sandbox, RECORD, delivery=settings(read_timeout_seconds=0.5))
    assert result(outcome) == CONFIRMED
    assert outcome.api_id == str(sandbox.records()[0]["id"])
    assert outcome.error_message is None


def test_a_moment_that_no_calendar_has_in_utc_is_not_known(sandbox: Sandbox, tmp_path: Path):
    posted(sandbox, RECORD)
    with sqlite3.connect(tmp_path / "sandbox.sqlite") as connection:
        connection.execute("update incidents set created_at = '0001-01-01T00:00:00+05:00'")
    sandbox.fault("drop_before_commit")
    outcome = posted(sandbox, RECORD)
    assert result(outcome) == NOT_OURS
    assert "does not say when it was created" in (outcome.error_message or "")


def test_what_others_stored_before_our_first_attempt_is_not_ours(sandbox: Sandbox, tmp_path: Path):
    assert result(posted(sandbox, RECORD)) == (Result.CREATED, None)
    date_back(tmp_path, 30)
    sandbox.fault("drop_before_commit")
    outcome = posted(sandbox, RECORD)
    assert result(outcome) == NOT_OURS
    assert "before our first attempt" in (outcome.error_message or "")


@pytest.mark.parametrize(("age", "expected"), [(1200, NOT_OURS), (30, CONFIRMED)])
def test_the_first_attempt_may_be_that_of_an_earlier_run(sandbox: Sandbox, tmp_path: Path, age: int, expected: object):
    posted(sandbox, RECORD)
    date_back(tmp_path, age)
    doubtful = replace(RECORD, in_doubt_since=now() - timedelta(seconds=60))
    assert result(posted(sandbox, doubtful)) == expected


def test_what_an_earlier_run_has_seen_there_is_not_ours(sandbox: Sandbox):
    posted(sandbox, RECORD)
    doubtful = replace(RECORD, in_doubt_since=now() - timedelta(seconds=60), is_there=True)
    assert result(posted(sandbox, doubtful)) == NOT_OURS


def test_a_record_that_cannot_be_seen_is_not_ours(sandbox: Sandbox):
    posted(sandbox, RECORD, sandbox.token(CREATE, SET_REFERENCE, READ, tenant="others"))
    sandbox.fault("drop_before_commit")
    outcome = posted(sandbox, RECORD)
    assert result(outcome) == NOT_OURS
    assert "it cannot be seen" in (outcome.error_message or "")


def test_a_record_with_other_contents_is_not_ours(sandbox: Sandbox):
    posted(sandbox, replace(RECORD, body=SENT | {"severity": "high"}))
    doubtful = replace(RECORD, in_doubt_since=now() - timedelta(seconds=60))
    outcome = posted(sandbox, doubtful)
    assert result(outcome) == NOT_OURS
    assert "it differs in severity" in (outcome.error_message or "")


@pytest.mark.server
@pytest.mark.parametrize("ahead", [-7200, 7200])
def test_the_servers_own_clock_decides(tmp_path: Path, ahead: int):
    """A server whose clock is two hours off is compared with its own clock, not with ours."""
    with running_sandbox(tmp_path / "off.sqlite", "--clock-ahead", str(ahead)) as off:
        off.fault("drop_after_commit")
        assert result(posted(off, RECORD)) == CONFIRMED
        with sqlite3.connect(tmp_path / "off.sqlite") as connection:
            created = (datetime.now(UTC) + timedelta(seconds=ahead - 30)).isoformat()
            connection.execute("update incidents set created_at = ?", [created])
        off.fault("drop_before_commit")
        assert result(posted(off, RECORD)) == NOT_OURS


@pytest.mark.parametrize("kind", ["drop_before_commit", "status", "hang"])
def test_a_look_up_without_an_answer_leaves_it_unknown(sandbox: Sandbox, kind: str):
    sandbox.fault("drop_after_commit")
    sandbox.fault(kind, count=0, method="GET", **({"value": 503} if kind == "status" else {}))
    outcome = posted(sandbox, RECORD, delivery=settings(read_timeout_seconds=0.5))
    assert outcome.result is Result.UNKNOWN
    assert "looking it up failed" in (outcome.error_message or "")


def test_a_look_up_that_is_not_allowed_leaves_it_unknown_and_the_run_goes_on(sandbox: Sandbox):
    sandbox.fault("drop_after_commit", reference=REFERENCE)
    others = [replace(RECORD, reference_number=name, body=SENT | {"reference_number": name}) for name in "ABCD"]
    token = sandbox.token(CREATE, SET_REFERENCE)
    outcomes = all_posted(sandbox, [RECORD, *others], token, settings())
    assert {outcome.record.reference_number: outcome.result for outcome in outcomes} == {
        REFERENCE: Result.UNKNOWN,
        **dict.fromkeys("ABCD", Result.CREATED),
    }


def test_the_id_that_a_409_names_is_looked_at_without_a_search(sandbox: Sandbox):
    """An API whose list cannot be searched for the key says which record it means."""
    sandbox.fault("drop_after_commit", reference=REFERENCE)
    conflict = '{"error": {"code": "DUPLICATE_ENTITY", "message": "there", "details": {"existing_id": 1}}}'
    sandbox.fault("body", status=409, text=conflict, reference=REFERENCE)
    assert result(posted(sandbox, RECORD)) == CONFIRMED
    asked = [request["path"] for request in sandbox.requests() if request["method"] == "GET"]
    assert asked == [f"{LIST}1"]


def test_an_id_that_is_not_ours_to_see_is_not_ours(sandbox: Sandbox):
    sandbox.fault("drop_before_commit", reference=REFERENCE)
    conflict = '{"error": {"code": "DUPLICATE_ENTITY", "message": "there", "details": {"existing_id": "7/../x?"}}}'
    sandbox.fault("body", status=409, text=conflict, reference=REFERENCE)
    sandbox.fault("body", status=404, text="{}", method="GET")
    outcome = posted(sandbox, RECORD)
    assert result(outcome) == NOT_OURS
    assert "it cannot be seen" in (outcome.error_message or "")


def test_only_the_few_in_doubt_are_looked_up(sandbox: Sandbox):
    records = [replace(RECORD, reference_number=name, body=SENT | {"reference_number": name}) for name in "ABCDE"]
    all_posted(sandbox, records, None, settings())
    sandbox.fault("drop_before_commit", reference="C")
    all_posted(sandbox, records, None, settings())
    assert [request["method"] for request in sandbox.requests()].count("GET") == 1


@pytest.mark.server
def test_look_ups_are_paced(tmp_path: Path):
    """The list allows two requests a window: no look-up is refused more than the first that finds out."""
    limit = ("--rate-limit", "2", "--rate-window", "1.0")
    with running_sandbox(tmp_path / "limited.sqlite", *limit) as limited:
        records = [replace(RECORD, reference_number=name, body=SENT | {"reference_number": name}) for name in "ABCD"]
        for name in "ABCD":
            limited.fault("drop_after_commit", reference=name)
        outcomes = all_posted(limited, records, None, settings(rate_limit_window_seconds=1.0))
        assert {result(outcome) for outcome in outcomes} == {CONFIRMED}
        refused = [row for row in limited.requests() if row["method"] == "GET" and row["status"] == 429]
        assert len(refused) <= 1


def test_stopping_ends_the_wait_of_a_look_up(sandbox: Sandbox):
    delivery, seconds = settings(rate_limit_window_seconds=3600, read_timeout_seconds=5), 30
    sandbox.fault("drop_after_commit")
    sandbox.fault("rate_limited", count=0, method="GET")
    pace = Pace(delivery, lambda _: pace.stop("signal 15"))
    tokens, outcomes = Tokens(sandbox.token(), None, lambda _: None), list[Outcome]()

    def post() -> None:
        with (
            Api(sandbox.url, tokens, connect_seconds=2, read_seconds=5) as api,
            Workers(api, Route(CARD, delivery), pace) as workers,
        ):
            outcomes.extend(outcome for group in workers.deliver(iter([[RECORD]]), print) for outcome in group)

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive()
    assert [outcome.result for outcome in outcomes] == [Result.UNKNOWN]
