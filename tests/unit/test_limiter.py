"""The mirror of the server's limiter, on a clock of the test's own, against the limiter of the sandbox's rules."""

import math
from collections import deque

import pytest

from loader.delivery.limiter import Limiter


class Server:
    """The platform's rule: a sliding window in which refused requests count too."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit = limit
        self.window = window
        self.times: deque[float] = deque()
        self.refused = 0

    def answer(self, now: float) -> tuple[int, dict[str, str]]:
        while self.times and self.times[0] < now - self.window:
            self.times.popleft()
        self.times.append(now)
        left = self.limit - len(self.times)
        self.refused += left < 0
        headers = {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(max(left, 0))}
        return (201, headers) if left >= 0 else (429, headers | {"Retry-After": "1"})


def send(limiter: Limiter, server: Server, now: float, takes: float = 0.1) -> tuple[float, int]:
    """Send one request as soon as the limiter lets it; return when it was answered, and the status."""
    now += limiter.ready_in(now)
    limiter.sent()
    status, headers = server.answer(now)
    limiter.ended(now + takes, status=status, headers=headers, sent=True)
    return now + takes, status


def one_after_another(limiter: Limiter, server: Server, requests: int, now: float = 1000.0) -> float:
    """Send requests until so many were accepted; return when the last one was answered."""
    while requests:
        now, status = send(limiter, server, now)
        requests -= status == 201
        assert server.refused < 100, "it goes on polling"
    return now


@pytest.fixture
def limiter() -> Limiter:
    return Limiter(60, 0, 300)


@pytest.mark.parametrize("limit", [1, 2, 60, 300])
def test_nothing_is_refused_and_nearly_all_that_is_allowed_is_sent(limiter: Limiter, limit: int):
    server = Server(limit, 60)
    ended = one_after_another(limiter, server, 10 * limit)
    assert server.refused == 0
    # The first window's requests go at once; each of the nine others has to wait for one.
    assert 9 * limit / (ended - 1000) > 0.9 * limit / 60


def test_a_raised_limit_is_used_at_once(limiter: Limiter):
    server = Server(2, 60)
    now = one_after_another(limiter, server, 3)
    server.limit = 500
    assert one_after_another(limiter, server, 400, now) - now < 60 * 1.02 + 401 * 0.1


@pytest.mark.parametrize("garbage", ["", "0", "-1", "many", "1.5", "9999999", "60, 60", "\u0666\u0660"])
def test_a_limit_that_makes_no_sense_limits_nothing(limiter: Limiter, garbage: str):
    for _ in range(100):
        assert limiter.ready_in(1.0) == 0
        limiter.sent()
        limiter.ended(1.0, status=201, headers={"X-RateLimit-Limit": garbage, "X-RateLimit-Remaining": "0"}, sent=True)
    assert limiter.requests_per_window is None


def test_requests_under_way_take_their_places(limiter: Limiter):
    limiter.remember(3, [], 0.0)
    for _ in range(3):
        assert limiter.ready_in(0.0) == 0
        limiter.sent()
    assert limiter.ready_in(0.0) == math.inf
    limiter.ended(5.0, status=201, headers={}, sent=True)
    assert limiter.ready_in(5.0) == pytest.approx(61.2)
    limiter.ended(6.0, status=None, headers={}, sent=False)
    assert limiter.ready_in(6.0) == 0, "what never reached the server takes no place"


def test_what_others_send_with_the_token_is_counted(limiter: Limiter):
    server, now = Server(60, 60), 1000.0
    for _ in range(300):
        now, status = send(limiter, server, now)
        assert status == 201
        # Another program sends too, as long as it is not refused.
        if len(server.times) < 50:
            server.answer(now)
    assert server.refused == 0


def test_an_earlier_run_is_counted(limiter: Limiter):
    server = Server(60, 60)
    for age in range(60, 0, -1):
        server.answer(1000.0 - age / 2)
    limiter.remember(60, [age / 2 for age in range(1, 61)], 1000.0)
    one_after_another(limiter, server, 200)
    assert server.refused == 0


def test_what_an_earlier_run_never_sent_is_corrected_by_the_first_answer(limiter: Limiter):
    limiter.remember(60, [1.0] * 59, 1000.0)
    assert one_after_another(limiter, Server(60, 60), 60) < 1000 + 60 * 0.1 + 1
    assert limiter.ready_in(1006.0) > 50


def test_a_clock_that_was_put_back_makes_no_wait_longer_than_a_window(limiter: Limiter):
    limiter.remember(1, [-4000.0], 1000.0)
    assert limiter.ready_in(1000.0) == pytest.approx(61.2)


def test_a_429_holds_everybody_for_a_window(limiter: Limiter):
    limiter.sent()
    assert limiter.ended(10.0, status=429, headers={"Retry-After": "1"}, sent=True) == pytest.approx(61.2)
    assert limiter.ready_in(11.0) == pytest.approx(60.2)
    assert limiter.holds(71.0)
    assert limiter.ready_in(71.3) == 0


@pytest.mark.parametrize(("asked", "waits"), [("120", 120), ("4000", 300), ("-1", 61.2), ("Tue", 61.2)])
def test_retry_after_can_only_make_the_wait_longer(limiter: Limiter, asked: str, waits: float):
    limiter.sent()
    limiter.ended(10.0, status=429, headers={"Retry-After": asked, "X-RateLimit-Reset": "0"}, sent=True)
    assert limiter.ready_in(10.0) == pytest.approx(waits)


def test_where_no_header_names_the_limit_it_is_learned_from_the_429(limiter: Limiter):
    server, now = Server(50, 60), 1000.0
    for _ in range(500):
        now += limiter.ready_in(now)
        limiter.sent()
        status, _ = server.answer(now)
        now += 0.1
        limiter.ended(now, status=status, headers={}, sent=True)
    assert server.refused == 1
    assert limiter.requests_per_window is None, "an estimate is not handed to the next run"


def test_the_operators_brake_holds_whatever_the_api_allows():
    limiter, server = Limiter(60, 20, 300), Server(1000, 60)
    assert one_after_another(limiter, server, 60) > 1000 + 2 * 60
    assert limiter.requests_per_window == 1000
