"""Servers on loopback that do to a request what no API should: each of them notes what it was asked."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sandbox.openapi import openapi_document

LIST = "/api/v1/incidents/"
ENVELOPE = {"items": [], "total": 0, "page": 1, "page_size": 1, "pages": 0}
OPENAPI = json.dumps(openapi_document(frozenset())).encode()


@dataclass(frozen=True)
class Reply:
    """One answer. Its body comes in these pieces, `pause` seconds apart; `raw` replaces the status line and headers."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    pieces: int = 1
    pause: float = 0.0


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")


Behaviour = Callable[[Asked], Reply | None]


@dataclass
class Hostile:
    """A running server: its port, what it was asked, how many connections it took, the certificate that it shows.

    `certificates` are shown to the next connections in its place. A `greeting` is all that a connection gets: these
    bytes and the end, or nothing at all for None.
    """

    behaviour: Behaviour
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    certificate: Path | None = None
    certificates: list[Path] = field(default_factory=list)
    greeting: bytes | str | None = "none"
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def methods(self) -> set[str]:
        return {request.method for request in self.asked}

    def reply(self, request: Asked) -> Reply | None:
        self.asked.append(request)
        return self.behaviour(request)


def sound(request: Asked) -> Reply:
    """Answer as the API does, so that one thing alone can be hostile."""
    health = {"status": "healthy", "environment": "staging"}
    document: Any = {"/health": health, "/readyz": {"status": "ready"}}.get(request.path, {})
    if request.path == "/openapi.json":
        return Reply(200, OPENAPI)
    if request.path.startswith(LIST):
        if not request.token:
            return Reply(401, b'{"error": {"code": "AUTHENTICATION_REQUIRED", "message": "Authentication required"}}')
        document = ENVELOPE if request.method == "GET" else {"id": 1, **json.loads(request.body)}
    return Reply(201 if request.method == "POST" else 200, json.dumps(document).encode())


def always(*arguments: Any, **options: Any) -> Behaviour:
    """Answer everything in one way."""
    return lambda _: Reply(*arguments, **options)


def only(paths: str | Sequence[str], reply: Behaviour, method: str = "GET", *, with_token: bool = False) -> Behaviour:
    """Answer requests for these paths so, and all others as the API does."""
    wanted = tuple([paths] if isinstance(paths, str) else paths)

    def behaviour(request: Asked) -> Reply | None:
        meant = request.method == method and request.path.startswith(wanted) and (request.token or not with_token)
        return reply(request) if meant else sound(request)

    return behaviour


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def setup(self) -> None:
        greeting = self.server.hostile.greeting
        if greeting is None:
            self.server.hostile.ended.wait(60)
        elif isinstance(greeting, bytes):
            self.request.recv(1)
            self.request.sendall(greeting)
            raise ConnectionAbortedError
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def answer(self) -> None:
        hostile = self.server.hostile
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = hostile.reply(Asked(self.command, self.path, dict(self.headers), body))
        if reply is None:
            hostile.ended.wait(60)  # holds the connection open and says nothing
            self.close_connection = True
            return
        head = f"HTTP/1.1 {reply.status} Said\r\nContent-Length: {len(reply.body) * reply.pieces}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items()) + "\r\n"
        self.close_connection = reply.raw is not None or reply.headers.get("Connection") == "close"
        self.wfile.write(head.encode("latin-1") if reply.raw is None else reply.raw)
        for _ in range(reply.pieces):
            self.wfile.write(reply.body)
            if hostile.ended.wait(reply.pause) if reply.pause else False:
                return

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, hostile: Hostile) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hostile = hostile

    def get_request(self) -> Any:
        connection, address = super().get_request()
        self.hostile.connections += 1
        waiting = self.hostile.certificates
        if certificate := waiting.pop(0) if waiting else self.hostile.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, *_: Any) -> None:
        """Stay silent: the client has gone away, as it should."""


@contextmanager
def hostile_server(behaviour: Behaviour, certificate: Path | None = None) -> Iterator[Hostile]:
    hostile = Hostile(behaviour, certificate=certificate)
    with _Server(hostile) as server:
        hostile.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield hostile
        finally:
            hostile.ended.set()
            server.shutdown()
