"""Decides when a request may be sent: the rate limiter, the adaptive concurrency, and whether the run is to stop."""

import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

from loader.api import Answer, Loss
from loader.concurrency import Concurrency
from loader.config import Delivery
from loader.limiter import Limiter
from loader.spent import Stopwatch, TimeSpent, Waiting

# A wait that an answer ends; this is only how long it lasts should none come.
_LONG = 3600.0


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
        self._changed = threading.Condition(threading.RLock())
        # Reentrant too, which an Event is not; another one, so that no wake-up for a request is lost on it.
        self._paused = threading.Condition(threading.RLock())
        self._stopping = False
        self._under_way = self._limited = 0
        self._holds = self._lost = 0
        self.requests = self.refused = 0
        self.reason: str | None = None

    @property
    def stopping(self) -> bool:
        """Tell whether the run is to stop."""
        return self._stopping

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
        with self._changed:
            return self._stopwatch.spent(time.monotonic())

    def remember(self, requests_per_window: int | None, ages: Iterable[float]) -> None:
        """Begin with the limit that earlier runs learned and the seconds since each request that they sent lately."""
        with self._changed:
            self._limiter.remember(requests_per_window, ages, time.monotonic())

    def stop(self, reason: str) -> None:
        """Let nothing further be sent; the first reason stands."""
        with self._changed:
            self.reason = self.reason or reason
            self._stopping = True
            self._changed.notify_all()
        with self._paused:
            self._paused.notify_all()

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
            return not self._paused.wait_for(lambda: self._stopping, seconds)

    def back_off(self, seconds: float) -> None:
        """Wait before the next attempt of a record."""
        self._note(self._stopwatch.begin)
        self.pause(seconds)
        self._note(self._stopwatch.end)

    def answered(self) -> None:
        """Note an answer that settles a record."""
        with self._changed:
            self._holds = self._lost = 0

    def lost(self, allowed: int, message: str) -> None:
        """Note a lost answer or a 5xx; the `allowed`-th in a row stops the run."""
        with self._changed:
            self._lost += 1
            systemic = self._lost >= allowed
        if systemic:
            self.stop(
                f"{allowed} requests in a row without an answer that settles anything (the last: {message}): "
                "check the API's health"
            )

    def _note(self, change: Callable[[Waiting, float], None]) -> None:
        with self._changed:
            change(Waiting.BACKOFF, time.monotonic())

    def _admitted(self) -> bool:
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                delay = self._limiter.ready_in(now)
                if delay > 0:
                    self._wait_for_limiter(now, min(delay, _LONG))
                elif self._under_way >= self._concurrency.limit:
                    self._changed.wait()
                else:
                    self._under_way += 1
                    self._limiter.sent()
                    self._stopwatch.begin(Waiting.API, now)
                    return True
        return False

    def _wait_for_limiter(self, now: float, seconds: float) -> None:
        self._limited += 1
        self._stopwatch.begin(Waiting.LIMITER, now)
        self._changed.wait(seconds)
        self._stopwatch.end(Waiting.LIMITER, time.monotonic())
        self._limited -= 1

    def _ended(self, answer: Answer) -> str | None:
        """Learn from an answer; return what to tell the operator, if anything."""
        with self._changed:
            now = time.monotonic()
            allowed, held = self._concurrency.limit, self._limiter.holds(now)
            seconds = self._limiter.ended(
                now, status=answer.status, headers=answer.headers, sent=answer.loss is not Loss.NOT_SENT
            )
            self._judge_speed(answer)
            self._stopwatch.end(Waiting.API, now)
            self._under_way -= 1
            self.requests += 1
            self._changed.notify(self._places(allowed))
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                return None
            self.refused += 1
            return None if held else self._hold(seconds)

    def _places(self, allowed: int) -> int:
        """Return how many workers to wake: all, where the limiter holds some, else as many as have a place."""
        return self._delivery.max_concurrency if self._limited else max(self._concurrency.limit - allowed, 0) + 1

    def _judge_speed(self, answer: Answer) -> None:
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.stale:
            return
        if answer.status is None or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._concurrency.failed()
            return
        self._concurrency.answered(
            answer.milliseconds / 1000,
            (answer.status, answer.sent_bytes),
            self._under_way,
            connected=answer.reused,
        )

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
