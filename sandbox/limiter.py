"""The rate limiter, as wrong as the platform's: refused requests count, and its advice misleads."""

import time
from collections import deque
from dataclasses import dataclass

Headers = dict[str, str]
Key = tuple[str, str, str]

# Shown by a 429 that a fault asked for while the limiter itself is off.
_USUAL_LIMIT = 60


@dataclass(frozen=True)
class Verdict:
    """Whether a request may pass, and the headers its answer carries."""

    allowed: bool
    headers: Headers


class Limiter:
    """Counts requests in a sliding window for each (token, method, path)."""

    def __init__(self, limit: int, window: float) -> None:
        """Allow `limit` requests in any `window` seconds; a limit of 0 allows all."""
        self._limit = limit
        self._window = window
        self._seen: dict[Key, deque[float]] = {}

    def check(self, key: Key) -> Verdict:
        """Count one request of `key`, refused ones too, and say whether it may pass."""
        if not self._limit:
            return Verdict(allowed=True, headers={})
        now = time.monotonic()
        times = self._seen.setdefault(key, deque())
        while times and times[0] < now - self._window:
            times.popleft()
        times.append(now)
        left = self._limit - len(times)
        if left < 0:
            return Verdict(allowed=False, headers=self.refusal_headers())
        return Verdict(allowed=True, headers=self._headers(left, self._window - (now - times[0])))

    def refusal_headers(self) -> Headers:
        """Give the headers of a 429; as measured they promise a recovery that does not come so soon."""
        return {**self._headers(0, 0.0), "Retry-After": "1"}

    def _headers(self, remaining: int, reset_in: float) -> Headers:
        return {
            "X-RateLimit-Limit": str(self._limit or _USUAL_LIMIT),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(int(time.time() + reset_in)),
        }
