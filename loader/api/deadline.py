"""Ends requests by the clock. A socket's own time-out begins anew with every byte; the time of a request does not.

One thread watches all requests of an `Api`. When the time of one is up, its socket is shut down, which ends whatever
reads from it or writes to it in another thread, TLS included.
"""

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Deadline:
    """The end of one request; `passed` says that the request was cut off."""

    def __init__(self, changed: threading.Condition, seconds: float) -> None:
        self._changed = changed
        self._socket: socket.socket | None = None
        self.at = time.monotonic() + seconds
        self.passed = False

    def covers(self, used: socket.socket) -> None:
        """Name the socket that the request uses."""
        with self._changed:
            self._socket = used
            if self.passed:
                self.cut()

    def extend(self, seconds: float) -> None:
        """Give the request more time."""
        with self._changed:
            self.at += seconds

    def cut(self) -> None:
        """End the request."""
        self.passed = True
        if self._socket is not None:
            with suppress(OSError):
                # Not the method of an SSLSocket, which takes the encryption away from under the reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Watch:
    """Cuts off the requests whose time is up. Its thread begins with the first request and ends with `close`.

    The thread sleeps until the earliest end that it knows of, so requests that end in time do not wake it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way: set[Deadline] = set()
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def ending(self, seconds: float) -> Iterator[Deadline]:
        """Watch a request for so many seconds from now; it is left alone when the context ends."""
        deadline = Deadline(self._changed, seconds)
        with self._changed:
            self._under_way.add(deadline)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            if deadline.at < self._wakes_at:
                self._wakes_at = deadline.at
                self._changed.notify()
        try:
            yield deadline
        finally:
            with self._changed:
                self._under_way.discard(deadline)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for deadline in [deadline for deadline in self._under_way if deadline.at <= now]:
                    deadline.cut()
                    self._under_way.discard(deadline)
                self._wakes_at = min((deadline.at for deadline in self._under_way), default=math.inf)
                self._changed.wait(None if self._wakes_at == math.inf else self._wakes_at - now)
