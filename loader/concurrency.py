"""How many requests may be under way at once: more while it helps, fewer when the API queues or fails. Pure.

Additive increase, multiplicative decrease, as TCP does it, in rounds of as many answers as requests are allowed. The
number doubles each round until the first sign of a queue, then grows by one. A queue shows in the latency: when the
answers of a round take over twice as long as the best round, and as many answers a second came from fewer requests,
the number goes down. A 5xx or a lost answer halves it, once a round. A 429 says nothing about it: the limiter waits.
"""

from collections import defaultdict
from statistics import median

_QUEUE_BEGINS = 1.5
_QUEUE = 2.0
_GAIN = 1.1
_DECREASE = 0.7
_SMALLEST_ROUND = 2
# Up to 1 kB of request the API takes the same time; beyond it the time grows with the size.
_SMALL_BITS = 10


class Concurrency:
    """The number of requests allowed at once: `limit`, from 1 to `maximum`; `peak` is the highest it has been."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self.limit = self.peak = 1
        self._doubling = True
        self._best: dict[tuple[int, int], float] = {}
        # Answers a second in units of one unhindered request: by Little's law requests under way / latency.
        self._rates: dict[int, float] = {}
        self._round: dict[tuple[int, int], list[float]] = defaultdict(list)
        self._answers = self._busiest = 0
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
        if connected or seconds < _QUEUE_BEGINS * self._best.get(alike, 0.0):
            self._round[alike].append(seconds)
            self._answers += 1
        if self._answers >= max(self.limit, _SMALLEST_ROUND):
            self._end_round()

    def failed(self) -> None:
        """Note a 5xx or a lost answer."""
        self._doubling = False
        if not self._halved:
            self._set(self.limit // 2)
            self._begin_round()
            self._halved = True

    def _end_round(self) -> None:
        slowness = self._slowness()
        self._rates[self.limit] = rate = self.limit / slowness
        fewer_did = max((known for limit, known in self._rates.items() if limit < self.limit), default=0.0)
        if slowness > _QUEUE_BEGINS:
            self._doubling = False
        if slowness > _QUEUE and rate < _GAIN * fewer_did:
            self._set(int(self.limit * _DECREASE))
        elif slowness <= _QUEUE_BEGINS and self._busiest >= self.limit:
            self._set(self.limit * 2 if self._doubling else self.limit + 1)
        self._begin_round()

    def _slowness(self) -> float:
        """Return how much longer than the best round of their kinds the answers took; 1 is as fast as ever."""
        ratios, answers = 0.0, 0
        for alike, seconds in self._round.items():
            middle = max(median(seconds), 1e-6)
            best = min(self._best.get(alike, middle), middle)
            # One request at a time makes no queue of ours: what it takes is what the API takes by itself.
            self._best[alike] = (best + middle) / 2 if self.limit == 1 else best
            ratios += len(seconds) * middle / self._best[alike]
            answers += len(seconds)
        return ratios / answers

    def _set(self, limit: int) -> None:
        self.limit = min(max(limit, 1), self._maximum)
        self.peak = max(self.peak, self.limit)

    def _begin_round(self) -> None:
        self._round.clear()
        self._answers, self._busiest, self._halved = 0, 0, False
