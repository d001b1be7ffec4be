"""Connections that know what they have come to: made at all, and whether they have carried a request before.

They connect within a time that covers the look-up of the host and all its addresses, and skip interim answers (1xx).

What fails before a connection is made, a TLS handshake included, was never sent.

API_CONTRACT: a connection is closed after 5 s idle, and right after every 500; a request that meets this is not
processed. urllib3 notices most of these before it sends; the others look like any lost answer.
"""

import http.client
import logging
import socket
import ssl
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError

from loader.deadline import Deadline
from loader.errors import Refused

# It quotes what a server sends, which may be the token; whoever turns logging on is not to find it there.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


_INFORMATIONAL = range(100, 200)


class _Last(threading.local):
    connected = False
    reused = False
    deadline: Deadline | None = None


_last = _Last()


def last_was_reused() -> bool:
    """Tell whether the connection of this thread's last request had carried one before."""
    return _last.reused


def last_was_connected() -> bool:
    """Tell whether this thread's last request had a connection to go out on."""
    return _last.connected


class _FinalResponse(http.client.HTTPResponse):
    """An answer of http.client, which skips no interim answer but 100 by itself."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status not in _INFORMATIONAL:
                return version, status, reason
            http.client.parse_headers(self.fp)


class _Noting:
    """Mixed into a connection of urllib3."""

    response_class: Any = _FinalResponse
    _used = False

    def _new_conn(self) -> socket.socket:
        """Connect in a thread, which can be left behind: the resolver and each address have times of their own."""
        made: Future[socket.socket] = Future()

        def connect() -> None:
            try:
                made.set_result(super(_Noting, self)._new_conn())  # type: ignore[misc]
            except (OSError, HTTPError, ValueError) as error:
                made.set_exception(error)

        threading.Thread(target=connect, daemon=True).start()
        try:
            return made.result(self.timeout)  # type: ignore[attr-defined]
        except TimeoutError:
            made.add_done_callback(_close)
            raise ConnectTimeoutError(self, "no connection within the time-out") from None

    def connect(self) -> None:
        """Connect, with the TLS handshake where there is one."""
        super().connect()  # type: ignore[misc]
        _last.connected = True
        self._cover()

    def request(self, *arguments: Any, **options: Any) -> None:
        """Send a request."""
        _last.connected = _last.connected or self._used
        _last.reused, self._used = self._used, True
        self._cover()
        super().request(*arguments, **options)  # type: ignore[misc]

    def _cover(self) -> None:
        # A new connection has no socket before it is connected.
        if _last.deadline and (used := self.sock):  # type: ignore[attr-defined]
            _last.deadline.covers(used)

    def close(self) -> None:
        """Close it; the next request on this object connects anew."""
        self._used = False
        super().close()  # type: ignore[misc]


def _close(made: Future[socket.socket]) -> None:
    if not made.exception():
        made.result().close()


class _NotingHttp(_Noting, HTTPConnection):
    pass


class _NotingHttps(_Noting, HTTPSConnection):
    pass


NOTING = {"http": _NotingHttp, "https": _NotingHttps}


def forget_last(deadline: Deadline) -> None:
    """Begin a request that may fail before it has a connection, and has to end at `deadline`."""
    _last.connected = _last.reused = False
    _last.deadline = deadline


def verified_by(bundle: Path | None) -> str | bool:
    """Return what certificates are verified against, as requests takes it: a file, or True for the public authorities.

    Raises:
        Refused: the file is not there, or holds no certificate.

    """
    if bundle is None:
        return True
    fix = "correct ca_bundle in etl.toml, or remove it to trust the public authorities"
    if not bundle.is_file():
        raise Refused(f"{bundle}: there is no such file of certificates; {fix}")
    try:
        ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise Refused(f"{bundle}: holds no certificate in PEM that can be read; {fix}") from error
    return str(bundle)
