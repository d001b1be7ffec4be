"""A mirror of the server's rate limiter, so that a request which would be refused is not sent. Pure: `now` is given.

The platform's limiter counts the requests of the last window, refused ones too, and says its limit in every answer.
Within the limit the mirror lets requests go as fast as they come: spreading them would end no import earlier, and
short ones later.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from loader.api.headers import header_number, retry_after

# API_CONTRACT: one request a second is refused at 60 a minute, one each 1.02 s never was.
MARGIN = 1.02
# Of what passed before a 429, where no answer names the limit.
_SHARE_OF_PASSED = 0.9
_MINUTE = 60.0


class Window:
    """The requests that a limiter of `requests` in `seconds` still counts; None: the limit is not known, none waits.

    A request is dated by its answer. It was counted earlier than that, so it leaves the server's window before ours.
    """

    def __init__(self, seconds: float, requests: int | None = None) -> None:
        self.requests = requests
        self._length = seconds * MARGIN
        self._past: deque[float] = deque()
        self._guessed: deque[float] = deque()
        self._under_way = 0

    def ready_in(self, now: float) -> float:
        """Return the seconds until a request may be sent; infinite when an answer has to come first."""
        self._expire(now)
        if self.requests is None:
            return 0.0
        excess = len(self._past) + len(self._guessed) + self._under_way - self.requests + 1
        if excess <= 0:
            return 0.0
        times: Sequence[float] = sorted([*self._guessed, *self._past]) if self._guessed else self._past
        return times[excess - 1] + self._length - now if excess <= len(times) else math.inf

    def sent(self) -> None:
        """Count a request that is about to be sent."""
        self._under_way += 1

    def ended(self, now: float, *, counted: bool) -> None:
        """Date a request that was sent; one that never reached the server is not counted."""
        self._under_way -= 1
        if counted:
            self._past.append(now)

    def guess(self, times: Iterable[float]) -> None:
        """Count what an earlier run may have sent at these times, until the server says how much of it counts."""
        self._guessed.extend(sorted(times))

    def passed(self, now: float) -> int:
        """Return the number of requests of the last window that have an answer."""
        self._expire(now)
        return len(self._past)

    def reconcile(self, counted: int, now: float) -> None:
        """Take over the number of requests that the server counts: others may use the same token.

        What it counts beyond ours is dated `now`. What it does not count is taken off the guesses alone: ours may be
        on their way.
        """
        self._expire(now)
        answered = len(self._past) + len(self._guessed)
        self._past.extend([now] * (counted - answered - self._under_way))
        for _ in range(min(answered - counted, len(self._guessed))):
            self._guessed.popleft()

    def _expire(self, now: float) -> None:
        for times in (self._guessed, self._past):
            while times and times[0] + self._length <= now:
                times.popleft()


class Limiter:
    """What holds requests back: the API's window as it was learned, the operator's brake, and a 429.

    `requests_per_window` is the limit that the API named, or None.
    """

    def __init__(self, window_seconds: float, max_per_minute: int, retry_after_max_seconds: float) -> None:
        self._api = Window(window_seconds)
        self._brake = Window(_MINUTE / MARGIN, max_per_minute or None)
        self._hold_seconds = window_seconds * MARGIN
        self._retry_after_max = retry_after_max_seconds
        self._held_until = -math.inf
        self.requests_per_window: int | None = None

    def remember(self, requests: int | None, ages: Iterable[float], now: float) -> None:
        """Begin with the limit, and the seconds since each request, that earlier runs left behind."""
        self.requests_per_window = self._api.requests = requests
        times = [now - max(age, 0.0) for age in ages]
        self._api.guess(times)
        self._brake.guess(times)

    def ready_in(self, now: float) -> float:
        """Return the seconds until a request may be sent; infinite when an answer has to come first."""
        return max(self._held_until - now, self._api.ready_in(now), self._brake.ready_in(now), 0.0)

    def holds(self, now: float) -> bool:
        """Tell whether a 429 holds everybody."""
        return now < self._held_until

    def sent(self) -> None:
        """Count a request that is about to be sent."""
        self._api.sent()
        self._brake.sent()

    def ended(self, now: float, *, status: int | None, headers: Mapping[str, str], sent: bool) -> float:
        """Learn from an answer, or from its lack; return the seconds for which a 429 holds everybody, else 0."""
        passed = self._api.passed(now)
        for window in (self._api, self._brake):
            window.ended(now, counted=sent)
        limit, remaining = header_number(headers, "X-RateLimit-Limit"), header_number(headers, "X-RateLimit-Remaining")
        if limit:
            self.requests_per_window = self._api.requests = limit
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            if self.requests_per_window is None and passed and not self.holds(now):
                self._api.requests = max(1, int(passed * _SHARE_OF_PASSED))
            seconds = max(self._hold_seconds, retry_after(headers, self._retry_after_max, datetime.now(UTC)))
            self._held_until = max(self._held_until, now + seconds)
            return seconds
        if limit and remaining is not None:
            self._api.reconcile(limit - remaining, now)
        return 0.0
