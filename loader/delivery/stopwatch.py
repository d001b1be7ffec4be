"""Where the time of a run goes. Pure: `now` is given."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum


class Waiting(Enum):
    """What a worker can be waiting for; where several do, the first of these that anybody waits for is counted."""

    API = "api"
    LIMITER = "limiter"
    BACKOFF = "backoff"


@dataclass(frozen=True)
class TimeSpent:
    """Seconds on the clock, not summed over workers; all four together are the time since the run began to post.

    `api_seconds`: at least one request was under way. `limiter_seconds`: none was, the rate limiter held one back.
    `backoff_seconds`: neither, a record waited before its next attempt. `own_seconds`: all the rest, which is ours.
    """

    api_seconds: float
    limiter_seconds: float
    backoff_seconds: float
    own_seconds: float

    @property
    def total(self) -> float:
        """Return the seconds since the run began to post."""
        return self.api_seconds + self.limiter_seconds + self.backoff_seconds + self.own_seconds

    def shares(self) -> str:
        """Return the shares in words, the largest first: `limiter 81 %, API 17 %, our own work 2 %`."""
        parts = {
            "API": self.api_seconds,
            "limiter": self.limiter_seconds,
            "backoff": self.backoff_seconds,
            "our own work": self.own_seconds,
        }
        ranked = sorted(parts.items(), key=lambda part: -part[1])
        percent = [(name, round(100 * seconds / self.total)) for name, seconds in ranked] if self.total else []
        return ", ".join(f"{name} {share} %" for name, share in percent if share)


@dataclass(frozen=True)
class Posting(TimeSpent):
    """Where the time of posting went, and the requests in it.

    `refused_requests` were answered 429. `requests_per_window` is the limit that the API named, None where it named
    none. `peak_concurrency` is how many requests were allowed at once at most.
    """

    requests: int
    refused_requests: int
    requests_per_window: int | None
    peak_concurrency: int


class Stopwatch:
    """Counts who waits for what."""

    def __init__(self) -> None:
        self._waiting: Counter[Waiting] = Counter()
        self._seconds: dict[Waiting | None, float] = {None: 0.0, **dict.fromkeys(Waiting, 0.0)}
        self._since: float | None = None

    def begin(self, waiting: Waiting, now: float) -> None:
        """Note that one more worker waits for this."""
        self._pass(now)
        self._waiting[waiting] += 1

    def end(self, waiting: Waiting, now: float) -> None:
        """Note that one worker fewer waits for this."""
        self._pass(now)
        self._waiting[waiting] -= 1

    def spent(self, now: float) -> TimeSpent:
        """Return the seconds since the first note."""
        self._pass(now)
        return TimeSpent(*(round(self._seconds[kind], 3) for kind in (*Waiting, None)))

    def _pass(self, now: float) -> None:
        since, self._since = self._since, now
        if since is not None:
            kind = next((kind for kind in Waiting if self._waiting[kind]), None)
            self._seconds[kind] += now - since
