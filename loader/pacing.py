"""Holds all workers back together: while a rate limiter's window runs out, and when the run is to stop."""

import threading
import time
from collections.abc import Callable


class Pace:
    """Shared by the workers of a run. `stop` wins over every wait."""

    def __init__(self, window_seconds: float, max_waits: int, notify: Callable[[str], None]) -> None:
        self._window = window_seconds
        self._max_waits = max_waits
        self._notify = notify
        # Reentrant: a signal handler may call stop() while its own thread is inside one of these methods.
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._resume_at = 0.0
        self._waits = 0
        self._lost = 0
        self.reason: str | None = None

    @property
    def stopping(self) -> bool:
        """Tell whether the run is to stop."""
        return self._stopping.is_set()

    def stop(self, reason: str) -> None:
        """Let nothing further be sent; the first reason stands."""
        with self._lock:
            self.reason = self.reason or reason
        self._stopping.set()

    def wait(self) -> bool:
        """Wait until a request may be sent; return False when the run is stopping."""
        while not self._stopping.is_set():
            remaining = self._resume_at - time.monotonic()
            if remaining <= 0:
                return True
            self._stopping.wait(remaining)
        return False

    def pause(self, seconds: float) -> bool:
        """Wait for this worker alone; return False when the run is stopping."""
        return not self._stopping.wait(seconds)

    def limit_reached(self) -> None:
        """Hold everybody for a whole window: requests that a limiter refuses lengthen its wait, so none is sent."""
        with self._lock:
            now = time.monotonic()
            already_held, self._resume_at = self._resume_at > now, now + self._window
            if already_held:
                return
            self._waits += 1
            too_often = self._waits > self._max_waits
        if too_often:
            self.stop(
                f"the API still answers 429 after {self._max_waits} whole windows: "
                "ask the platform team for a higher limit"
            )
        else:
            self._notify(f"rate limit (429): waiting {self._window:g} s for the window to pass")

    def answered(self) -> None:
        """Note an answer that settles a record."""
        with self._lock:
            self._waits = self._lost = 0

    def lost(self, allowed: int, message: str) -> None:
        """Note a lost answer or a 5xx; the `allowed`-th in a row stops the run."""
        with self._lock:
            self._lost += 1
            systemic = self._lost >= allowed
        if systemic:
            self.stop(
                f"{allowed} requests in a row without an answer that settles anything (the last: {message}): "
                "check the API's health"
            )
