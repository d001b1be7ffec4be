"""Connections that know what they have come to: made at all, and whether they have carried a request before.

What fails before a connection is made, a TLS handshake included, was never sent.

API_CONTRACT: a connection is closed after 5 s idle, and right after every 500; a request that meets this is not
processed. urllib3 notices most of these before it sends; the others look like any lost answer.
"""

import logging
import ssl
import threading
from pathlib import Path
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection

from loader.errors import Refused

# It quotes what a server sends, which may be the token; whoever turns logging on is not to find it there.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


class _Last(threading.local):
    connected = False
    reused = False


_last = _Last()


def last_was_reused() -> bool:
    """Tell whether the connection of this thread's last request had carried one before."""
    return _last.reused


def last_was_connected() -> bool:
    """Tell whether this thread's last request had a connection to go out on."""
    return _last.connected


class _Noting:
    """Mixed into a connection of urllib3."""

    _used = False

    def connect(self) -> None:
        """Connect, with the TLS handshake where there is one."""
        super().connect()  # type: ignore[misc]
        _last.connected = True

    def request(self, *arguments: Any, **options: Any) -> None:
        """Send a request."""
        _last.connected = _last.connected or self._used
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
    _last.connected = _last.reused = False


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
