"""The adaptive concurrency, on made-up APIs and a clock of the test's own."""

import heapq
import random
from collections.abc import Callable

import pytest

from loader.delivery.pace import Concurrency

Latency = Callable[[int], float]


def simulate(concurrency: Concurrency, latency: Latency, answers: int, size: int = 800) -> tuple[float, list[int]]:
    """Send as many requests at once as allowed; `latency` of the number under way. Return the time and the limits."""
    now, ends, limits, connections = 0.0, [], [], 0
    for _ in range(answers):
        while len(ends) < concurrency.limit:
            fresh = len(ends) + 1 > connections
            connections = max(connections, len(ends) + 1)
            takes = latency(len(ends) + 1)
            heapq.heappush(ends, (now + takes, takes, len(ends), fresh))
        now, takes, _, fresh = heapq.heappop(ends)
        concurrency.answered(takes, (201, size), len(ends) + 1, connected=not fresh)
        limits.append(concurrency.limit)
    return now, limits


def network(under_way: int) -> float:  # noqa: ARG001 - that is the point
    return 0.05


def one_core(under_way: int) -> float:
    return 0.147 * under_way


def eight_cores(under_way: int) -> float:
    return 0.05 * max(1.0, under_way / 8)


@pytest.mark.parametrize("maximum", [1, 2, 8, 32])
def test_where_latency_is_the_network_it_climbs_to_the_maximum(maximum: int):
    concurrency = Concurrency(maximum)
    took, limits = simulate(concurrency, network, 3000)
    assert limits[-1] == concurrency.peak == maximum
    assert 3000 / took > 0.9 * maximum / 0.05


def test_the_climb_is_short():
    _, limits = simulate(Concurrency(32), network, 200)
    assert limits.index(32) < 70


def test_where_more_at_once_brings_nothing_it_settles_low():
    _, limits = simulate(Concurrency(32), one_core, 1000)
    assert sum(limits[200:]) / 800 < 4
    assert max(limits) <= 8


def answered(
    concurrency: Concurrency, times: int, seconds: float, kind: tuple[int, int], *, connected: bool = True
) -> None:
    """Give this many answers of one kind, each with as many requests under way as are allowed."""
    for _ in range(times):
        concurrency.answered(seconds, kind, concurrency.limit, connected=connected)


def test_it_settles_near_what_the_api_can_do():
    took, limits = simulate(Concurrency(64), eight_cores, 4000)
    assert 8 <= sum(limits[1000:]) / 3000 <= 17
    assert 4000 / took > 0.9 * 160


def test_uneven_latency_does_not_keep_it_down():
    draw = random.Random(4)  # noqa: S311 - repeatable, not secret
    _, limits = simulate(Concurrency(16), lambda _: draw.uniform(0.02, 0.12), 1000)
    assert sum(limits[200:]) / 800 > 10


def test_the_handshake_of_a_new_connection_is_no_queue():
    concurrency, seen = Concurrency(16), 0
    while concurrency.limit < 16 and seen < 200:
        seen += 1
        answered(concurrency, 1, 0.05, (201, 800))
        answered(concurrency, 3, 0.25, (201, 800), connected=False)
    assert concurrency.limit == 16


def test_a_failure_halves_it_once_a_round_and_it_recovers_by_one():
    concurrency = Concurrency(32)
    simulate(concurrency, network, 500)
    for _ in range(20):
        concurrency.failed()
    assert concurrency.limit == 16
    _, limits = simulate(concurrency, network, 40)
    assert limits[15:17] == [17, 17]
    for _ in range(40):
        concurrency.failed()
        simulate(concurrency, network, concurrency.limit)
    assert concurrency.limit <= 2


def test_large_records_are_not_held_against_small_ones():
    concurrency = Concurrency(8)
    for _ in range(100):
        simulate(concurrency, network, 4)
        answered(concurrency, 16, 2.4, (201, 100_000))
    assert concurrency.limit == 8


def test_creations_are_not_held_against_duplicates():
    concurrency = Concurrency(8)
    answered(concurrency, 50, 0.012, (409, 800))
    answered(concurrency, 50, 0.147, (201, 800))
    assert concurrency.limit == 8


def test_it_does_not_climb_while_something_else_holds_the_requests_back():
    concurrency = Concurrency(8)
    for _ in range(100):
        concurrency.answered(0.05, (201, 800), 1, connected=True)
    assert concurrency.limit == 2


def test_an_api_that_got_slower_for_good_does_not_keep_it_at_one():
    concurrency = Concurrency(8)
    simulate(concurrency, network, 200)
    simulate(concurrency, lambda _: 0.5, 600)
    assert concurrency.limit >= 4
