"""The only module that speaks HTTP. An answer, or the lack of one, is a value here; nothing is raised for it."""

import http.client
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from loader.api.answer import CUT, LATE, Answer, Loss
from loader.api.deadline import Deadline, Watch
from loader.api.headers import ServerClock
from loader.api.tokens import Tokens
from loader.errors import Refused

# It quotes what a server sends, which may be the token; whoever turns logging on is not to find it there.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)

_INFORMATIONAL = range(100, 200)


class _Last(threading.local):
    """The last request of a thread: whether it had a connection, and one that had carried a request before."""

    connected = False
    reused = False
    deadline: Deadline | None = None


_last = _Last()


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


class _Adapter(HTTPAdapter):
    """An adapter whose connections note whether they have carried a request before."""

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        pool.ConnectionCls = _NotingHttps if pool.scheme == "https" else _NotingHttp
        return pool


def _verified_by(bundle: Path | None) -> str | bool:
    """Return what certificates are verified by, as requests takes it: a file, or True for the public authorities."""
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


MAX_BODY_BYTES = _PIECE_BYTES = 1 << 20
_HEADERS = {**requests.utils.default_headers(), "Accept": "application/json"}
# The platform looks at the token before it can give one of these.
_TOKEN_ACCEPTED = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


class Api:
    """Keep-alive connections with one address, scheme, host and port. Refused where `ca_bundle` cannot be read.

    Certificates are verified, by `ca_bundle` in place of the public authorities where there is one; redirects, and the
    proxies and credentials of the system, are not used.

    Each request ends when the time for connecting (the look-up of the host, its addresses, then the TLS handshake) and
    the time for reading are over, however slowly bytes come. A POST adds `read_seconds_per_megabyte` of all that is
    under way: the platform analyses one description after the other, about 25 s a megabyte, and answers nobody
    meanwhile (API_CONTRACT). An answer adds it for what it has brought so far, so that a long one on a slow line ends.
    """

    def __init__(
        self,
        address: str,
        tokens: Tokens | None,
        *,
        connect_seconds: float,
        read_seconds: float,
        read_seconds_per_megabyte: float = 0.0,
        connections: int = 1,
        ca_bundle: Path | None = None,
    ) -> None:
        self.address = address
        self._tokens = tokens
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._read_seconds_per_megabyte = read_seconds_per_megabyte
        self._verify = _verified_by(ca_bundle)
        self.server_clock = ServerClock()
        self._watch = Watch()
        self._lock = Lock()
        self._bytes_under_way = 0
        self._adapter = _Adapter(pool_connections=1, pool_maxsize=connections, max_retries=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._adapter.close()
        self._watch.close()

    def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        anonymous: bool = False,
        max_bytes: int = MAX_BODY_BYTES,
        seconds: float | None = None,
    ) -> Answer:
        """Send a GET; without the token when `anonymous`, within `seconds` in place of the usual time."""
        query = f"?{urlencode(params)}" if params else ""
        time_out = self._time_out(self._read_seconds)
        if seconds is not None:
            time_out = _TimeOut(min(self._connect_seconds, seconds), seconds, seconds, 0.0)
        return self._send(self._request("GET", path + query), max_bytes, time_out, anonymous=anonymous)

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Send one record as JSON."""
        data = json.dumps(body, allow_nan=False).encode()
        with self._lock:
            self._bytes_under_way += len(data)
            seconds = self._read_seconds + self._read_seconds_per_megabyte * self._bytes_under_way / 1e6
        try:
            return self._send(self._request("POST", path, data), MAX_BODY_BYTES, self._time_out(seconds))
        finally:
            with self._lock:
                self._bytes_under_way -= len(data)

    def refresh_token(self, refused: Answer) -> bool:
        """Tell whether there is another token than the one that was refused with this 401."""
        return self._tokens is not None and self._tokens.refresh(refused.token_number)

    def _time_out(self, read_seconds: float) -> "_TimeOut":
        whole = self._connect_seconds + read_seconds
        return _TimeOut(self._connect_seconds, read_seconds, whole, self._read_seconds_per_megabyte)

    def _request(self, method: str, path: str, data: bytes = b"") -> requests.PreparedRequest:
        """Return a request, put together by hand: its own `prepare` takes 30 times as long, for what is known here."""
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, self.address + path, data or None
        request.headers = CaseInsensitiveDict(_HEADERS)
        if data:
            request.headers.update({"Content-Type": "application/json", "Content-Length": str(len(data))})
        return request

    def _send(
        self, request: requests.PreparedRequest, max_bytes: int, time_out: "_TimeOut", *, anonymous: bool = False
    ) -> Answer:
        number, token = self._tokens.current() if self._tokens and not anonymous else (0, "")
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        sent_bytes, started = len(request.body or b""), time.monotonic()
        try:
            with self._watch.ending(time_out.whole) as deadline:
                _last.connected, _last.reused, _last.deadline = False, False, deadline
                # The transport of requests without its session, which would look for proxies, cookies and redirects.
                timeout = (time_out.connect, time_out.read)
                response = self._adapter.send(request, stream=True, timeout=timeout, verify=self._verify)
                self.server_clock.learn(response.headers.get("Date", ""), datetime.now(UTC))
                body = _read(response, max_bytes, deadline, time_out.per_megabyte)
            if deadline.passed:
                # An answer whose length is not announced ends like this too.
                response.close()
                raise requests.Timeout
        except (requests.RequestException, HTTPError, OSError) as error:
            loss, reason = _loss(error, is_late=deadline.passed)
            milliseconds = _since(started)
            return Answer(None, milliseconds, loss=loss, reason=reason, sent_bytes=sent_bytes, reused=_last.reused)
        if self._tokens and response.status_code in _TOKEN_ACCEPTED:
            self._tokens.accept(number)
        return Answer(
            response.status_code,
            _since(started),
            response.headers,
            body,
            sent_bytes=sent_bytes,
            reused=_last.reused,
            token_number=number,
            hide=self._tokens.hide if self._tokens else str,
        )


class _TimeOut(NamedTuple):
    """The seconds of a request: for connecting, for reading, for both, and more for each megabyte read."""

    connect: float
    read: float
    whole: float
    per_megabyte: float


def _read(response: requests.Response, max_bytes: int, deadline: Deadline, seconds_per_megabyte: float) -> bytes:
    """Read the body to its end, so that the connection can be used again; give it up when it is longer than allowed."""
    body, wanted = b"", max_bytes + 1
    try:
        while wanted:
            piece: bytes = response.raw.read(min(wanted, _PIECE_BYTES), decode_content=True)
            body += piece
            if len(piece) < min(wanted, _PIECE_BYTES):
                break
            wanted -= len(piece)
            deadline.extend(seconds_per_megabyte * len(piece) / 1e6)
    except DecodeError:
        # It is there and its status counts; only its body says nothing.
        response.close()
        return b""
    if len(body) > max_bytes:
        response.close()
    return body[:max_bytes]


def _loss(error: Exception, *, is_late: bool) -> tuple[Loss, str]:
    cause = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(cause, NameResolutionError):
        return Loss.NOT_SENT, "the host name is not known"
    if cause is not None and cause.args and isinstance(cause.args[0], ssl.SSLCertVerificationError):
        return Loss.NOT_SENT, f"its certificate is not trusted ({cause.args[0].verify_message.rstrip('.')})"
    if isinstance(cause, NewConnectionError) and not isinstance(error, requests.ConnectTimeout):
        return Loss.NOT_SENT, "connection refused"
    is_late = is_late or isinstance(error, requests.Timeout | ReadTimeoutError)
    if not _last.connected:
        return Loss.NOT_SENT, "no connection within the time-out" if is_late else "the TLS handshake failed"
    return Loss.NO_ANSWER, LATE if is_late else CUT


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
