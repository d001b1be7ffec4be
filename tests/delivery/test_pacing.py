"""Delivery against the sandbox, without a database: the rate limiter, the connections, the time of a record."""

import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Event, Semaphore, Thread

import pytest

from loader.api.answer import Answer
from loader.api.client import Api
from loader.api.tokens import Tokens
from loader.card import read_card
from loader.config import Delivery, load_settings
from loader.delivery.pace import Pace
from loader.delivery.record import Outcome, PayloadRecord
from loader.delivery.verdict import Result
from loader.delivery.workers import Route, Workers
from sandbox.process import Sandbox
from tests.support import wait_for
from tests.warm import running_sandbox

KEY = "reference_number"
QUICK: dict[str, float] = {"backoff_seconds": 0.01, "backoff_max_seconds": 0.05, "read_timeout_seconds": 2}


def settings(**changed: float) -> Delivery:
    return replace(load_settings().delivery, **(QUICK | changed))


def record(number: int, description: str = "a fall") -> PayloadRecord:
    reference = f"EXT-{number:05d}"
    body = {KEY: reference, "title": "t", "description": description, "incident_date": "2026-01-15"}
    return PayloadRecord(number, number, "hash", reference, body)


def post(
    url: str, token: str, pace: Pace, delivery: Delivery, records: Sequence[PayloadRecord], batch: int = 50
) -> list[Outcome]:
    """Post the records in batches; return the outcomes."""
    batches = (records[at : at + batch] for at in range(0, len(records), batch))
    connection = {
        "connect_seconds": delivery.connect_timeout_seconds,
        "read_seconds": delivery.read_timeout_seconds,
        "read_seconds_per_megabyte": delivery.read_timeout_seconds_per_megabyte,
    }
    with (
        Api(url, Tokens(token, None, quiet), connections=delivery.max_concurrency, **connection) as api,
        Workers(api, Route(read_card("incident"), delivery), pace) as workers,
    ):
        return [outcome for group in workers.deliver(batches, lambda _: None) for outcome in group]


def results(outcomes: Sequence[Outcome]) -> set[Result]:
    return {outcome.result for outcome in outcomes}


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Sandbox]:
    """Return a sandbox that allows 60 requests in 1.5 s, refused ones included."""
    with running_sandbox(tmp_path / "limited.sqlite", "--rate-limit", "60", "--rate-window", "1.5") as running:
        yield running


def quiet(_message: str) -> None:
    """Drop a notice."""


@pytest.mark.server
def test_the_allowed_rate_is_used_and_nothing_is_refused(tmp_path: Path):
    delivery, requests = settings(rate_limit_window_seconds=4), 150
    pace = Pace(delivery, quiet)
    with running_sandbox(tmp_path / "slow.sqlite", "--rate-limit", "60", "--rate-window", "4") as slow:
        started = time.monotonic()
        outcomes = post(slow.url, slow.token(), pace, delivery, [record(number) for number in range(requests)])
        spent, elapsed = pace.spent(), time.monotonic() - started
        requested = slow.requests()
    statuses = [request["status"] for request in requested]
    assert [outcome.result for outcome in outcomes] == [Result.CREATED] * requests
    assert statuses.count(429) == pace.refused < 0.03 * requests
    assert len(statuses) == pace.requests
    # The last window of requests need not pass, so the rate is that of those before it; a window more would halve it.
    waited = (requests - 1) // 60
    assert waited * 60 / elapsed >= 0.7 * 60 / 4
    assert pace.requests_per_window == 60
    assert spent.limiter_seconds > spent.backoff_seconds == 0
    assert spent.api_seconds > 0
    # From the first request to the last answer, which the server saw less of, and the test more.
    first, *_, last = (datetime.fromisoformat(request["at"]) for request in requested)
    assert (last - first).total_seconds() - 0.1 <= spent.total <= elapsed + 0.1


def test_a_run_right_after_another_is_not_refused(limited: Sandbox):
    delivery, token = settings(rate_limit_window_seconds=1.5), limited.token()
    first = post(limited.url, token, Pace(delivery, quiet), delivery, [record(number) for number in range(60)])
    ended, pace = time.monotonic(), Pace(delivery, quiet)
    pace.remember(60, [time.monotonic() - ended for _ in first])
    second = post(limited.url, token, pace, delivery, [record(number) for number in range(60, 80)])
    assert results(second) == {Result.CREATED}
    assert pace.refused == 0
    assert pace.spent().limiter_seconds > 0.5


def test_without_that_memory_a_429_is_waited_out_and_fails_nothing(limited: Sandbox):
    delivery, token, notices = settings(rate_limit_window_seconds=1.5), limited.token(), list[str]()
    post(limited.url, token, Pace(delivery, quiet), delivery, [record(number) for number in range(60)])
    pace = Pace(delivery, notices.append)
    second = post(limited.url, token, pace, delivery, [record(number) for number in range(60, 80)])
    assert results(second) == {Result.CREATED}
    assert pace.refused == 1, "one worker finds out for all"
    assert notices == ["rate limit (429): waiting 1.5 s for the window to pass"]


def test_the_operators_brake_holds_a_run_back(sandbox: Sandbox):
    delivery = settings(max_requests_per_minute=5)
    pace = Pace(delivery, quiet)

    def stop_a_second_after_the_fifth() -> None:
        wait_for(lambda: len(sandbox.records()) >= 5)
        time.sleep(1)
        pace.stop("enough")

    Thread(target=stop_a_second_after_the_fifth, daemon=True).start()
    outcomes = post(sandbox.url, sandbox.token(), pace, delivery, [record(number) for number in range(20)])
    assert [outcome.result for outcome in outcomes].count(Result.CREATED) == 5
    assert [outcome.result for outcome in outcomes].count(Result.NOT_ATTEMPTED) == 15


@pytest.mark.parametrize("kind", ["drop_before_commit", "drop_after_commit"])
def test_a_cut_on_a_used_connection_costs_no_attempt_and_no_wait(sandbox: Sandbox, kind: str):
    delivery = settings(max_concurrency=1, max_attempts=1, stop_after_lost_answers=1, backoff_seconds=60)
    sandbox.fault(kind, reference="EXT-00001")
    pace = Pace(delivery, quiet)
    outcomes = post(sandbox.url, sandbox.token(), pace, delivery, [record(number) for number in range(3)])
    assert results(outcomes) == {Result.CREATED}
    assert [outcome.attempts for outcome in outcomes] == [1, 2, 1]
    assert outcomes[1].confirmed_by == ("conflict_after_unknown" if kind == "drop_after_commit" else None)
    assert pace.spent().backoff_seconds == 0


def test_it_is_sent_again_at_once_only_one_time(sandbox: Sandbox):
    delivery = settings(max_concurrency=1, max_attempts=1, stop_after_lost_answers=2)
    sandbox.fault("drop_before_commit", count=0, reference="EXT-00001")
    outcomes = post(sandbox.url, sandbox.token(), Pace(delivery, quiet), delivery, [record(n) for n in range(3)])
    assert [outcome.result for outcome in outcomes] == [Result.CREATED, Result.UNKNOWN, Result.CREATED]
    assert outcomes[1].attempts == 2


def test_a_cut_on_a_new_connection_is_a_lost_answer(sandbox: Sandbox):
    delivery = settings(max_concurrency=1, max_attempts=1)
    sandbox.fault("drop_before_commit")
    outcomes = post(sandbox.url, sandbox.token(), Pace(delivery, quiet), delivery, [record(1)])
    assert (outcomes[0].result, outcomes[0].attempts) == (Result.UNKNOWN, 1)


def test_the_time_of_a_record_is_bounded(sandbox: Sandbox):
    delivery = settings(max_seconds_per_record=0.5, max_attempts=1000, stop_after_lost_answers=1000, max_concurrency=1)
    sandbox.fault("status", count=0, value=503)
    started = time.monotonic()
    outcomes = post(sandbox.url, sandbox.token(), Pace(delivery, quiet), delivery, [record(1)])
    assert results(outcomes) == {Result.UNKNOWN}
    assert 0.5 <= time.monotonic() - started < 10
    assert 5 < outcomes[0].attempts < 100


def test_waiting_for_the_limiter_is_no_time_of_a_record(sandbox: Sandbox):
    delivery = settings(max_seconds_per_record=0.1, rate_limit_window_seconds=0.5)
    sandbox.fault("rate_limited", count=2)
    outcomes = post(sandbox.url, sandbox.token(), Pace(delivery, quiet), delivery, [record(1)])
    assert results(outcomes) == {Result.CREATED}


def test_the_read_timeout_grows_with_what_is_under_way(sandbox: Sandbox):
    sandbox.fault("latency", count=0, value=1.0)
    delivery = settings(read_timeout_seconds=0.3, max_attempts=1, read_timeout_seconds_per_megabyte=25)
    token, pace = sandbox.token(), Pace(delivery, quiet)
    assert results(post(sandbox.url, token, pace, delivery, [record(1)])) == {Result.UNKNOWN}
    assert results(post(sandbox.url, token, pace, delivery, [record(2, "x" * 100_000)])) == {Result.CREATED}


@pytest.mark.server
def test_on_a_slow_network_the_concurrency_climbs(tmp_path: Path):
    delivery = settings(max_concurrency=8)
    with running_sandbox(tmp_path / "far.sqlite", "--latency-ms", "50") as far:
        pace = Pace(delivery, quiet)
        post(far.url, far.token(), pace, delivery, [record(number) for number in range(200)])
        assert pace.peak_concurrency == 8


@pytest.mark.server
def test_an_answer_that_never_comes_is_given_up():
    delivery = settings(read_timeout_seconds=0.3, max_attempts=2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        outcomes = post(url, "token", Pace(delivery, quiet), delivery, [record(1)])
    assert results(outcomes) == {Result.UNKNOWN}
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("limit", ["concurrency", "limiter"])
def test_workers_are_served_in_the_order_in_which_they_ask(limit: str):
    """Nobody is overtaken, whether a place or the window is waited for."""
    brake = {"max_requests_per_minute": 0} if limit == "concurrency" else {"rate_limit_window_seconds": 0.01}
    pace, served, asked = Pace(settings(max_concurrency=1, **brake), quiet), list[int](), Semaphore(0)
    if limit == "limiter":
        pace.remember(1, [])
    under_way, first = Event(), Event()

    def hold() -> Answer:
        under_way.set()
        assert first.wait(30)
        return Answer(201, 1.0)

    def ask(number: int) -> None:
        asked.release()
        pace.send(lambda: (served.append(number), Answer(201, 1.0))[1])

    threads = [Thread(target=pace.send, args=[hold], daemon=True)]
    threads[0].start()
    assert under_way.wait(30)
    for number in range(8):
        threads.append(Thread(target=ask, args=[number], daemon=True))
        threads[-1].start()
        assert asked.acquire(timeout=30)
        waiting_since = time.monotonic()
        while len(pace._queue) <= number and time.monotonic() < waiting_since + 30:  # noqa: SLF001 - has it asked yet
            time.sleep(0.001)
    first.set()
    for thread in threads:
        thread.join(30)
    assert served == list(range(8))


def test_who_has_just_been_served_does_not_overtake_who_waits():
    """A worker that asks again at once goes behind the one that waits, however quick it is."""
    pace, served, waits = Pace(settings(max_concurrency=1), quiet), list[str](), Event()

    def answered(name: str) -> Answer:
        served.append(name)
        if len(served) == 1:
            waits.wait(30)
        return Answer(201, 1.0)

    def ask_often() -> None:
        for _ in range(200):
            pace.send(lambda: answered("busy"))

    busy = Thread(target=ask_often, daemon=True)
    waiter = Thread(target=lambda: pace.send(lambda: answered("waiter")), daemon=True)
    busy.start()
    wait_for(lambda: served)
    waiter.start()
    wait_for(lambda: pace._queue)  # noqa: SLF001 - has it asked yet
    waits.set()
    for thread in (busy, waiter):
        thread.join(30)
    assert served.index("waiter") == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_ours_ends_the_run_and_is_not_swallowed(sandbox: Sandbox):
    delivery, pace = settings(), Pace(settings(), quiet)
    broken = replace(record(1), body={"title": {1, 2}})
    with pytest.raises(TypeError):
        post(sandbox.url, sandbox.token(), pace, delivery, [broken, *(record(number) for number in range(2, 200))])
    assert pace.stopping
