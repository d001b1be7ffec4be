"""Connections that know whether they have carried a request before: a server may close such a one without a word.

API_CONTRACT: a connection is closed after 5 s idle, and right after every 500; a request that meets this is not
processed. urllib3 notices most of these before it sends; the others look like any lost answer.
"""

import threading
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection


class _Last(threading.local):
    reused = False


_last = _Last()


def last_was_reused() -> bool:
    """Tell whether the connection of this thread's last request had carried one before."""
    return _last.reused


class _Noting:
    """Mixed into a connection of urllib3."""

    _used = False

    def request(self, *arguments: Any, **options: Any) -> None:
        """Send a request."""
        _last.reused, self._used = self._used, True
        super().request(*arguments, **options)  # type: ignore[misc]

    def close(self) -> None:
        """Close it; the next request on this object connects anew."""
        self._used = False
        super().close()  # type: ignore[misc]


class _NotingHttp(_Noting, HTTPConnection):
    pass


class _NotingHttps(_Noting, HTTPSConnection):
    pass


NOTING = {"http": _NotingHttp, "https": _NotingHttps}


def forget_last() -> None:
    """Begin a request that may fail before it has a connection."""
    _last.reused = False
