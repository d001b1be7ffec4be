"""Delivery against a server with faults: every record has the outcome that the routing table says."""

import time
from typing import Any

import pytest

from sandbox.process import Sandbox
from tests.support import Home

COUNTS = ("created", "exists", "failed", "unknown", "not_attempted")
REFERENCE = "EXT-2026-0003"


def counts(home: Home) -> dict[str, int]:
    """Return the delivery counts of the last run that are not nought; its ledger must close."""
    columns = ", ".join(f"{name}_records" for name in COUNTS)
    rows = home.query(f"select closes, {columns} from audit.fct_runs order by start_time desc limit 1")  # noqa: S608
    closes, *found = rows[0]
    assert closes is True
    assert sum(found) == 5
    return {name: count for name, count in zip(COUNTS, found, strict=True) if count}


def record(home: Home, reference: str = REFERENCE) -> dict[str, Any]:
    """Return what the only run says of one record."""
    names = ("result", "confirmed_by", "status_code", "attempts", "error_message")
    rows = home.query(
        f"select {', '.join(names)} from audit.fct_import_records where reference_number = ?",  # noqa: S608
        reference,
    )
    assert len(rows) == 1
    return dict(zip(names, rows[0], strict=True))


def attempts(home: Home, reference: str = REFERENCE) -> list[tuple[Any, ...]]:
    """Return number, status code and next action of every request for one record."""
    return home.query(
        "select attempt, status_code, next_action from audit.fct_attempts "
        "where reference_number = ? order by run_id, attempt",
        reference,
    )


def posts(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [request for request in sandbox.requests() if request["method"] == "POST"]


def stored(sandbox: Sandbox) -> list[str]:
    return sorted(entry["reference_number"] for entry in sandbox.records())


ALL = [f"EXT-2026-000{number}" for number in range(1, 6)]


@pytest.mark.parametrize("times", [1, 6])
def test_a_rate_limit_is_waited_out(home: Home, sandbox: Sandbox, times: int):
    sandbox.fault("rate_limited", count=times)
    started = time.monotonic()
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started > 1.2
    assert "rate limit (429): waiting 1.2 s" in done.stderr
    assert counts(home) == {"created": 5}
    assert stored(sandbox) == ALL
    assert [post["status"] for post in posts(sandbox)].count(429) == times


def test_a_limiter_that_never_yields_stops_the_run(home: Home, sandbox: Sandbox):
    home.settings(rate_limit_window_seconds="0.2", rate_limit_max_waits="2")
    sandbox.fault("rate_limited", count=0)
    done = home.loader("--import")
    assert done.returncode == 4, done.stderr
    assert "ask the platform team for a higher limit" in done.stdout
    assert counts(home) == {"not_attempted": 5}
    sandbox.clear_faults()
    assert home.loader("--import").returncode == 0
    assert counts(home) == {"created": 5}


# Fault; then status codes of the POSTs of that record in order, None where the answer was cut; how it is confirmed.
ONCE = {
    "drop_after_commit": ({}, [None, 409], "conflict_after_unknown"),
    "drop_before_commit": ({}, [None, 201], None),
    "status": ({"value": 500}, [500, 201], None),
    "status_after_commit": ({"value": 500}, [500, 409], "conflict_after_unknown"),
    "early_hints": ({}, [201], None),
}


@pytest.mark.parametrize("kind", ONCE)
def test_one_lost_answer_costs_one_more_attempt(home: Home, sandbox: Sandbox, kind: str):
    options, statuses, confirmed_by = ONCE[kind]
    # Longer than the 0.02 s in which a connection that is about to be closed after a 500 can be met again.
    home.settings(backoff_seconds="0.2", backoff_max_seconds="0.4")
    sandbox.fault(kind, reference=REFERENCE, **options)
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    assert counts(home) == {"created": 5}
    assert ("created 5 (1 of them confirmed after a lost answer)" in done.stdout) == (confirmed_by is not None)
    found = record(home)
    assert (found["result"], found["confirmed_by"], found["attempts"]) == ("created", confirmed_by, len(statuses))
    assert found["status_code"] == statuses[-1]
    assert [post["status"] for post in posts(sandbox) if post["reference_number"] == REFERENCE] == statuses
    actions = ["retry", "settle"][-len(statuses) :]
    assert attempts(home) == list(zip(range(1, 3), statuses, actions, strict=False))
    assert stored(sandbox) == ALL


@pytest.mark.parametrize("kind", ["drop_before_commit", "status"])
def test_a_lost_answer_does_not_make_a_record_of_an_earlier_run_ours(home: Home, sandbox: Sandbox, kind: str):
    assert home.loader("--import").returncode == 0
    sandbox.fault(kind, reference=REFERENCE, **({"value": 502} if kind == "status" else {}))
    assert home.loader("--import").returncode == 0
    assert counts(home) == {"exists": 5}
    assert len([post for post in posts(sandbox) if post["reference_number"] == REFERENCE]) == 3


def test_the_rate_limit_after_a_lost_answer_does_not_lose_the_record(home: Home, sandbox: Sandbox):
    sandbox.fault("drop_after_commit", reference=REFERENCE)
    sandbox.fault("rate_limited", reference=REFERENCE)
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    found = record(home)
    assert (found["result"], found["confirmed_by"], found["attempts"]) == ("created", "conflict_after_unknown", 3)
    assert counts(home) == {"created": 5}
    assert [attempt[1:3] for attempt in attempts(home)] == [(None, "retry"), (429, "wait"), (409, "settle")]


REFUSALS = {
    "422": ("body", {"status": 422, "text": '{"error": {"code": "VALIDATION_ERROR", "message": "title \\u001b[1m"}}'}),
    "418": ("status", {"value": 418}),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_record_fails_alone_and_once(home: Home, sandbox: Sandbox, name: str):
    kind, options = REFUSALS[name]
    sandbox.fault(kind, count=0, reference=REFERENCE, **options)
    done = home.loader("--import")
    assert done.returncode == 1, done.stderr
    assert counts(home) == {"created": 4, "failed": 1}
    found = record(home)
    assert (found["result"], found["status_code"], found["attempts"]) == ("failed", int(name), 1)
    assert found["error_message"].isprintable()
    if name == "422":
        assert found["error_message"] == "VALIDATION_ERROR: title \\x1b[1m"
    assert f"failed, line 4 ({REFERENCE}): {name}" in done.stdout
    assert stored(sandbox) == [reference for reference in ALL if reference != REFERENCE]


def test_what_was_lost_for_good_is_unknown_and_settled_by_the_next_run(home: Home, sandbox: Sandbox):
    home.settings(max_attempts="2")
    sandbox.fault("hang_after_commit", count=0, value=30, reference=REFERENCE)
    done = home.loader("--import")
    # The duplicate is answered by the routes, but the fault keeps that answer back too.
    assert done.returncode == 1, done.stderr
    assert counts(home) == {"created": 4, "unknown": 1}
    assert record(home)["attempts"] == 2
    assert stored(sandbox) == ALL
    sandbox.clear_faults()
    assert home.loader("--import").returncode == 0
    assert counts(home) == {"created": 1, "exists": 4}
    ours = "select result from audit.fct_import_records where confirmed_by = 'conflict_after_unknown'"
    assert home.query(ours) == [("created",)]
    assert stored(sandbox) == ALL
