"""How many requests may be under way at once: more while it helps, fewer when the API queues or fails. Pure.

Additive increase, multiplicative decrease, in rounds of as many answers as requests are allowed. The number doubles
each round until the first sign of a queue, then grows by one. A queue shows in the answers a second, which by Little's
law are the requests under way divided by the latency: when they are hardly more than with half as many requests, the
latency has doubled for nothing and the number goes down. A 5xx or a lost answer halves it, once a round. A 429 says
nothing about it: the limiter waits.
"""

from statistics import median

_GAIN = 1.2
_DECREASE = 0.7
_SMALLEST_ROUND = 2
# So many answers before the number goes down: the latency of one API varies much.
_ENOUGH = 8
# How much the latest round counts in what is known of a number of requests.
_WEIGHT = 0.3
# Up to 1 kB of request the API takes the same time; beyond it the time grows with the size.
_SMALL_BITS = 10
_SHORTEST = 1e-6


class Concurrency:
    """The number of requests allowed at once: `limit`, from 1 to `maximum`; `peak` is the highest it has been."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self.limit = self.peak = 1
        self._doubling = True
        # Seconds that answers of a kind take where nothing queues; the unit in which they are compared.
        self._usual: dict[tuple[int, int], float] = {}
        # By number of requests: how many times longer than usual their answers took.
        self._slowness: dict[int, float] = {}
        self._round: list[tuple[tuple[int, int], float]] = []
        self._busiest = 0
        self._halved = False

    def answered(self, seconds: float, kind: tuple[int, int], under_way: int, *, connected: bool) -> None:
        """Note a good answer.

        Args:
            seconds: from sending to the end of the answer.
            kind: status of the answer and bytes of the request; only what is alike is compared.
            under_way: requests under way when it was answered, itself included.
            connected: the connection stood already; the handshake of another one is no queue.

        """
        status, sent_bytes = kind
        alike = (status, max(sent_bytes.bit_length(), _SMALL_BITS))
        self._busiest = max(self._busiest, under_way)
        if connected or seconds <= self._usual.get(alike, 0.0):
            self._round.append((alike, max(seconds, _SHORTEST)))
        if len(self._round) >= max(self.limit, _SMALLEST_ROUND):
            self._end_round()

    def failed(self) -> None:
        """Note a 5xx or a lost answer."""
        self._doubling = False
        if not self._halved:
            self._set(self.limit // 2)
            self._begin_round()
            self._halved = True

    def _end_round(self) -> None:
        slowness, known = self._measure(), self._slowness.get(self.limit)
        slowness = slowness if known is None else known + _WEIGHT * (slowness - known)
        half = max((limit for limit in self._slowness if limit <= self.limit / 2), default=None)
        queues = half is not None and self.limit / slowness < _GAIN * half / self._slowness[half]
        if queues and len(self._round) < _ENOUGH:
            return
        self._slowness[self.limit] = slowness
        if queues:
            self._doubling = False
            self._set(int(self.limit * _DECREASE))
        elif self._busiest >= self.limit:
            self._set(self.limit * 2 if self._doubling else self.limit + 1)
        self._begin_round()

    def _measure(self) -> float:
        """Return how many times longer than usual the answers of this round took, by their median."""
        usual = self._slowness.get(self.limit, 1.0)
        for alike in {alike for alike, _ in self._round} - set(self._usual):
            self._usual[alike] = median(seconds for kind, seconds in self._round if kind == alike) / usual
        return median(seconds / self._usual[alike] for alike, seconds in self._round)

    def _set(self, limit: int) -> None:
        self.limit = min(max(limit, 1), self._maximum)
        self.peak = max(self.peak, self.limit)

    def _begin_round(self) -> None:
        self._round.clear()
        self._busiest, self._halved = 0, False
