"""Answers that no API should give: the status decides, no redirect is followed, what is kept is short and clean."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loader.api.client import Api, Loss
from loader.api.tokens import Tokens
from loader.card import read_card
from loader.config import load_settings
from loader.delivery.look_up import LookUp
from loader.delivery.pace import Pace
from loader.delivery.readback import Listing
from loader.delivery.record import Outcome, PayloadRecord
from loader.delivery.verdict import STORED_MESSAGE_BYTES, Result
from loader.delivery.workers import Route, deliver_record
from sandbox.auth import issue_token

pytestmark = pytest.mark.server

PATH, KEY, TOKEN = "/api/v1/incidents/", "reference_number", issue_token()
RECORD = PayloadRecord(1, 2, "hash", "R-1", {KEY: "R-1"})


@dataclass
class Scripted:
    """What the server answers to everything, and the lines of the requests that it has received."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)
    port: int = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, script: Scripted, *args: object) -> None:
        self.script = script
        super().__init__(*args)

    def do_POST(self) -> None:
        script = self.script
        script.received.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(script.status)
        headers = {"Content-Length": str(len(script.body)), "Connection": "close"} | script.headers
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(script.body)
        except ConnectionError:
            return

    do_GET = do_POST  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Scripted]:
    script = Scripted()
    with ThreadingHTTPServer((host, 0), partial(Handler, script)) as server:
        script.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield script
        server.shutdown()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Scripted, Scripted, Scripted]]:
    """Return the API, a server on another port of its host, and one on another host."""
    with serving() as api, serving() as port, serving("127.0.0.2") as host:
        yield api, port, host


def asked(script: Scripted) -> tuple[Outcome, Pace, list[object]]:
    """Post one record to the server and read one page of its list, each once, with a pace of its own."""
    settings = load_settings().delivery
    patience = {"max_attempts": 1, "stop_after_lost_answers": 9, "rate_limit_window_seconds": 0.01}
    once = type(settings)(**(vars(settings) | patience))
    script.received.clear()
    pace = Pace(once, lambda _: None)
    tokens = Tokens(TOKEN, None, lambda _: None)
    with Api(f"http://127.0.0.1:{script.port}", tokens, connect_seconds=5, read_seconds=20) as api:
        route = Route(read_card("incident"), once)
        outcome = deliver_record(api, route, pace, LookUp(api, route.card, pace.companion(), once), RECORD)
        reading = Pace(once, lambda _: None)
        page = Listing(api, route.card, reading, once).page(1)
        return outcome, pace, [page, reading.reason]


ECHO = json.dumps({"error": {"code": "X", "message": f"you sent Bearer {TOKEN}"}}).encode()
ESCAPED = json.dumps({"detail": TOKEN}).replace("e", "\\u0065").encode()
BODIES = {
    "HTML": (b"<html>\r\n<h1>Bad\x1b[31m Gateway</h1>\n" + b"x" * 5000, {}),
    "empty": (b"", {}),
    "10 MB": (b'{"detail": "' + b"a" * 10_000_000 + b'"}', {}),
    "10 MB of tokens": ((TOKEN + "\n").encode() * (10_000_000 // len(TOKEN)), {}),
    "invalid UTF-8": (b"\xff\xfe\x00 \x80" * 900, {}),
    "UTF-16": ('{"detail": "n\xe4m"}'.encode("utf-16"), {}),
    "NUL and escapes": (b"\x00\x07\x1b]0;title\x07", {}),
    "deep list": (b"[" * 100_000, {}),
    "deep object": (b'{"a":' * 100_000, {}),
    "deep detail": (b'{"detail": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", {}),
    "emoji": (json.dumps({"detail": "\U0001f6a7" * 5000}, ensure_ascii=False).encode(), {}),
    "control characters": (json.dumps({"detail": "\x1b[2J\r\n\u202e\ud800" * 900}).encode(), {}),
    "echo of the token": (ECHO, {}),
    "echo in HTML": (f"<p>{'x' * 150}{TOKEN}</p>".encode(), {}),
    "echo in escapes": (ESCAPED, {}),
    "echo at the limit": (json.dumps({"detail": "x" * 1900 + TOKEN}).encode(), {}),
    "odd error": (b'{"error": "text"}', {}),
    "odd errors": (b'{"error": {"code": 1, "details": {"errors": [1, null, {"field": null}]}}}', {}),
    "a list": (b"[1, 2]", {}),
    "null": (b"null", {}),
    "a number of 6,000 digits": (b'{"detail": ' + b"9" * 6000 + b"}", {}),
    "NaN": (b'{"detail": NaN}', {}),
    "not gzip": (b"no gzip at all", {"Content-Encoding": "gzip"}),
    "a gzip bomb": (gzip.compress(b"a" * 20_000_000), {"Content-Encoding": "gzip"}),
    "no JSON as JSON": (b"<xml/>", {"Content-Type": "application/json; charset=no-such-charset"}),
}
# What a status makes of a record whatever its body is; whether the run stops.
MEANINGS = {
    200: (Result.UNKNOWN, True),
    201: (Result.UNKNOWN, True),
    401: (Result.NOT_ATTEMPTED, True),
    404: (Result.FAILED, False),
    422: (Result.FAILED, False),
    500: (Result.UNKNOWN, False),
    503: (Result.UNKNOWN, False),
}


@pytest.mark.parametrize("status", MEANINGS)
@pytest.mark.parametrize("name", BODIES)
def test_the_status_decides_and_little_is_kept(servers: tuple[Scripted, ...], name: str, status: int):
    api, result = servers[0], MEANINGS[status]
    api.status, (api.body, api.headers) = status, BODIES[name]
    outcome, pace, read = asked(api)
    assert (outcome.result, pace.stopping) == result
    assert outcome.status_code == status
    assert outcome.attempts == 1
    for text in (outcome.error_message, pace.reason, read[1]):
        kept = str(text or "")
        assert len(kept.encode()) <= STORED_MESSAGE_BYTES == 2000
        assert kept.isprintable()
        assert TOKEN not in kept
        assert TOKEN[:40] not in kept
        assert TOKEN.rpartition(".")[2][:20] not in kept
    assert outcome.error_message
    assert read[0] is None


def test_an_answer_that_ends_too_early_is_a_lost_one(servers: tuple[Scripted, ...]):
    api = servers[0]
    api.status, api.body, api.headers = 201, b'{"reference_number": "R-1"}', {"Content-Length": "500"}
    outcome, _, _ = asked(api)
    assert (outcome.result, outcome.status_code) == (Result.UNKNOWN, None)


def test_an_id_that_echoes_the_token_is_not_kept(servers: tuple[Scripted, ...]):
    api = servers[0]
    api.status, api.headers = 201, {}
    api.body = json.dumps({KEY: "R-1", "id": f"{TOKEN}\x1b[1m"}).encode()
    outcome, _, _ = asked(api)
    assert (outcome.result, outcome.api_id) == (Result.CREATED, "***\\x1b[1m")


@pytest.mark.parametrize("place", ["same host", "same host, no name", "another port", "another host", "another scheme"])
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 307, 308, 399])
def test_no_redirect_is_followed(servers: tuple[Scripted, ...], status: int, place: str):
    api, port, host = servers
    target = {
        "same host": f"http://127.0.0.1:{api.port}/elsewhere",
        "same host, no name": "/elsewhere",
        "another port": f"http://127.0.0.1:{port.port}{PATH}",
        "another host": f"http://127.0.0.2:{host.port}{PATH}",
        "another scheme": f"https://127.0.0.1:{port.port}{PATH}",
    }[place]
    for server in (port, host):
        server.status, server.received[:] = 201, []
    api.status, api.body, api.headers = status, b"", {"Location": target, "Refresh": f"0; url={target}"}
    outcome, pace, read = asked(api)
    assert api.received == [f"POST {PATH}", f"GET {PATH}?page=1&page_size=100"]
    assert port.received == host.received == []
    assert (outcome.result, outcome.status_code, pace.stopping) == (Result.UNKNOWN, status, True)
    assert "check the address" in (pace.reason or "")
    assert f"answered {status}" in str(read[1])


def test_nothing_listens_there_is_not_sent():
    with Api("http://127.0.0.1:9", Tokens(TOKEN, None, print), connect_seconds=1, read_seconds=1) as api:
        answer = api.get(PATH)
    assert (answer.status, answer.loss, answer.token_number) == (None, Loss.NOT_SENT, 0)
