"""Decides when a request may be sent: the rate limiter, the adaptive concurrency, and whether the run is to stop."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from http import HTTPStatus
from statistics import median

from loader.api.answer import Answer, Loss, is_lost
from loader.config import Delivery
from loader.delivery.limiter import Limiter
from loader.delivery.stopwatch import Stopwatch, TimeSpent, Waiting

# A wait that an answer ends; this is only how long it lasts should none come.
_LONG = 3600.0
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
        """Note a good answer: it took so many seconds, with so many requests under way, its own too.

        `kind` is the status of the answer and the bytes of the request; only what is alike is compared. `connected`:
        the connection was there already; the handshake of another one is no queue.
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


class Pace:
    """Shared by the workers of a run, for one endpoint. `stop` wins over every wait.

    `requests` were sent, `refused` of them answered 429; `reason` says why the run is to stop, None while it is not.
    """

    def __init__(self, delivery: Delivery, notify: Callable[[str], None]) -> None:
        self._delivery = delivery
        self._notify = notify
        self._limiter = Limiter(
            delivery.rate_limit_window_seconds, delivery.max_requests_per_minute, delivery.retry_after_max_seconds
        )
        self._concurrency = Concurrency(delivery.max_concurrency)
        self._stopwatch = Stopwatch()
        # Reentrant: a signal handler may call stop() while its own thread is inside one of these methods.
        self._lock = threading.RLock()
        # The workers that wait for their turn, in the order in which they asked; the first of them alone is woken.
        self._queue: deque[threading.Condition] = deque()
        self._companions: list[Pace] = []
        # Reentrant too, which an Event is not; another one, so that no wake-up for a request is lost on it.
        self._paused = threading.Condition(threading.RLock())
        self._under_way = 0
        self._holds = self._lost = 0
        self.requests = self.refused = 0
        self.reason: str | None = None

    @property
    def stopping(self) -> bool:
        """Tell whether the run is to stop."""
        return self.reason is not None

    @property
    def requests_per_window(self) -> int | None:
        """Return the limit that the API named, or None."""
        return self._limiter.requests_per_window

    @property
    def concurrency(self) -> int:
        """Return how many requests may be under way at once, at this moment."""
        return self._concurrency.limit

    @property
    def peak_concurrency(self) -> int:
        """Return how many requests were allowed at once at most."""
        return self._concurrency.peak

    def spent(self) -> TimeSpent:
        """Return where the time went so far."""
        with self._lock:
            return self._stopwatch.spent(time.monotonic())

    def remember(self, requests_per_window: int | None, ages: Iterable[float]) -> None:
        """Begin with the limit that earlier runs learned and the seconds since each request that they sent lately."""
        with self._lock:
            self._limiter.remember(requests_per_window, ages, time.monotonic())

    def stop(self, reason: str) -> None:
        """Let nothing further be sent; the first reason is kept."""
        with self._lock:
            self.reason = self.reason or reason
            for turn in self._queue:
                turn.notify()
            for companion in self._companions:
                companion.stop(reason)
        with self._paused:
            self._paused.notify_all()

    def companion(self) -> "Pace":
        """Return a pace for requests of another method, which has limits of its own and stops with this one."""
        with self._lock:
            self._companions.append(Pace(self._delivery, self._notify))
            return self._companions[-1]

    def send(self, request: Callable[[], Answer]) -> Answer | None:
        """Wait until a request may be sent, send it and learn from its answer; None when the run is stopping."""
        if not self._admitted():
            return None
        answer = request()
        if message := self._ended(answer):
            self._notify(message)
        return answer

    def pause(self, seconds: float) -> bool:
        """Wait for this thread alone; return False when the run is stopping."""
        with self._paused:
            return not self._paused.wait_for(lambda: self.stopping, seconds)

    def back_off(self, seconds: float) -> None:
        """Wait before the next attempt of a record."""
        with self._lock:
            self._stopwatch.begin(Waiting.BACKOFF, time.monotonic())
        self.pause(seconds)
        with self._lock:
            self._stopwatch.end(Waiting.BACKOFF, time.monotonic())

    def answered(self) -> None:
        """Note an answer that settles a record."""
        with self._lock:
            self._holds = self._lost = 0

    def lost(self, allowed: int, message: str) -> None:
        """Note a lost answer; the `allowed`-th in a row stops the run."""
        with self._lock:
            self._lost += 1
            systemic = self._lost >= allowed
        if systemic:
            self.stop(
                f"{allowed} requests in a row without an answer that settles anything (the last: {message}): "
                "check the API's health"
            )

    def _admitted(self) -> bool:
        """Wait for this thread's turn and for a place; return False when the run is stopping."""
        with self._lock:
            turn = threading.Condition(self._lock)
            self._queue.append(turn)
            try:
                while not self.stopping:
                    if self._queue[0] is not turn:
                        turn.wait()
                    elif self._may_go(turn):
                        return True
                return False
            finally:
                self._queue.remove(turn)
                self._wake_first()

    def _may_go(self, turn: threading.Condition) -> bool:
        """Count the request of the first in the queue when there is a place for it; wait a while otherwise."""
        now = time.monotonic()
        delay = self._limiter.ready_in(now)
        if delay > 0:
            self._stopwatch.begin(Waiting.LIMITER, now)
            turn.wait(min(delay, _LONG))
            self._stopwatch.end(Waiting.LIMITER, time.monotonic())
            return False
        if self._under_way >= self._concurrency.limit:
            turn.wait()
            return False
        self._under_way += 1
        self._limiter.sent()
        self._stopwatch.begin(Waiting.API, now)
        return True

    def _wake_first(self) -> None:
        if self._queue:
            self._queue[0].notify()

    def _ended(self, answer: Answer) -> str | None:
        """Learn from an answer; return what to tell the operator, if anything."""
        with self._lock:
            now = time.monotonic()
            held = self._limiter.holds(now)
            seconds = self._limiter.ended(
                now, status=answer.status, headers=answer.headers, sent=answer.loss is not Loss.NOT_SENT
            )
            self._judge_speed(answer)
            self._stopwatch.end(Waiting.API, now)
            self._under_way -= 1
            self.requests += 1
            self._wake_first()
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                return None
            self.refused += 1
            return None if held else self._hold(seconds)

    def _judge_speed(self, answer: Answer) -> None:
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.stale:
            return
        if answer.status is None or is_lost(answer.status):
            self._concurrency.failed()
            return
        kind = answer.status, answer.sent_bytes
        self._concurrency.answered(answer.milliseconds / 1000, kind, self._under_way, connected=answer.reused)

    def _hold(self, seconds: float) -> str | None:
        """Count a window that is waited out; stop the run after too many without any other answer."""
        self._holds += 1
        if self._holds <= self._delivery.rate_limit_max_waits:
            return f"rate limit (429): waiting {seconds:.1f} s for the window to pass"
        self.stop(
            f"the API still answers 429 after {self._delivery.rate_limit_max_waits} whole windows: "
            "ask the platform team for a higher limit"
        )
        return None
