"""The rate limiter: what it counts, what it counts separately, and what its headers claim."""

import time

import pytest

from sandbox import limiter as limiter_module
from sandbox.limiter import Limiter
from sandbox.process import Sandbox
from tests.sandbox.test_sandbox_process import ABSENT, Client
from tests.warm import running_sandbox

LIMIT, WINDOW = 4, 1.2


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory):
    database = tmp_path_factory.mktemp("limiter") / "sandbox.sqlite"
    args = ("--rate-limit", str(LIMIT), "--rate-window", str(WINDOW))
    with running_sandbox(database, *args) as running:
        yield running


def exhaust(client: Client, statuses: int):
    answers = [client.post() for _ in range(LIMIT)]
    assert [answer.status_code for answer in answers] == [statuses] * LIMIT
    return answers


def test_headers_count_down_and_a_429_gives_wrong_advice(limited: Sandbox):
    client = Client(limited)
    answers = exhaust(client, 201)
    now = time.time()
    refusal = client.post()
    headers = refusal.headers
    left = [answer.headers["X-RateLimit-Remaining"] for answer in answers]
    assert left == [str(number) for number in reversed(range(LIMIT))]
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {str(LIMIT)}
    assert all("X-RateLimit-Reset" in answer.headers for answer in answers)
    assert all("Retry-After" not in answer.headers for answer in answers)
    assert refusal.status_code == 429
    assert refusal.json() == {"detail": "Rate limit exceeded. Please try again later."}
    assert (headers["Retry-After"], headers["X-RateLimit-Remaining"]) == ("1", "0")
    assert headers["X-RateLimit-Limit"] == str(LIMIT)
    assert int(now) <= int(headers["X-RateLimit-Reset"]) <= int(now) + 1


def test_a_refused_request_is_logged_and_stores_nothing(limited: Sandbox):
    client = Client(limited)
    exhaust(client, 201)
    assert client.post(reference_number="REFUSED").status_code == 429
    last = limited.requests()[-1]
    assert (last["reference_number"], last["status"], last["fault"]) == ("REFUSED", 429, None)
    assert limited.records()[-1]["reference_number"] != "REFUSED"


def test_refused_requests_count_so_only_waiting_recovers(limited: Sandbox):
    client = Client(limited)
    exhaust(client, 201)
    end = time.monotonic() + 2 * WINDOW
    polled = set()
    while time.monotonic() < end:
        polled.add(client.post().status_code)
        time.sleep(WINDOW / 8)
    assert polled == {429}
    time.sleep(WINDOW * 1.1)
    assert client.post().status_code == 201


def test_every_answer_counts(limited: Sandbox):
    client = Client(limited)
    reference = client.post().json()["reference_number"]
    counted = [
        client.post(reference_number=reference),
        client.post(title=""),
        client.post(reference_number="x" * 21),
    ]
    assert [answer.status_code for answer in counted] == [409, 422, 500]
    assert client.post(reference_number=ABSENT).status_code == 429


def test_401_and_403_count_too(limited: Sandbox):
    for client, status in (
        (Client(limited, token=f"{limited.token()}x"), 401),
        (Client(limited, "incident:read"), 403),
    ):
        exhaust(client, status)
        assert client.post().status_code == 429


def test_each_token_method_and_path_has_its_own_count(limited: Sandbox):
    client = Client(limited)
    exhaust(client, 201)
    assert client.post().status_code == 429
    assert client.list().status_code == 200
    assert Client(limited).post().status_code == 201
    health = [client.call("GET", "/healthz") for _ in range(LIMIT + 1)]
    assert {answer.status_code for answer in health} == {200}
    assert "X-RateLimit-Limit" not in health[0].headers


@pytest.mark.parametrize(("interval", "refused"), [(1.0, 61), (1.02, None)])
def test_a_request_a_second_is_one_too_many(monkeypatch: pytest.MonkeyPatch, interval: float, refused: int | None):
    clock = iter(number * interval for number in range(1000))
    monkeypatch.setattr(limiter_module.time, "monotonic", lambda: next(clock))
    limiter = Limiter(limit=60, window=60.0)
    verdicts = [limiter.check(("token", "POST", "/path")).allowed for _ in range(300)]
    first = verdicts.index(False) + 1 if False in verdicts else None
    assert first == refused
    if refused:
        assert not any(verdicts[refused:])


def test_without_a_limit_nothing_is_counted():
    limiter = Limiter(limit=0, window=60.0)
    verdicts = [limiter.check(("token", "POST", "/path")) for _ in range(200)]
    assert all(verdict.allowed and verdict.headers == {} for verdict in verdicts)
