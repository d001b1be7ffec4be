"""Whatever the API does instead of answering: one line for each failed check, the right outcome, nothing posted."""

import json
import socket
import time
from dataclasses import replace

import pytest

from probe import cli as probe_cli
from tests.hostile import LIST, Asked, Behaviour, Reply, always, hostile_server, only, sound
from tests.inside import CHECKS, FAILED, UNAVAILABLE, aim, judged, run_inside
from tests.support import Home

pytestmark = pytest.mark.server

SECONDS = 20
LOGIN = b"<!doctype html><html><form action='/login'><input name='password'></form></html>"
HTML = {"Content-Type": "text/html; charset=utf-8"}
WAY_OUT = {"Location": "/login?next=%2F"}


def failed_checks(home: Home, outcome: str, seconds: float = SECONDS) -> dict[str, str]:
    """Run the probe, which has to fail with this outcome and in lines; return what it found, check by check."""
    began = time.monotonic()
    done = run_inside(home, probe_cli.main, "staging")
    assert time.monotonic() - began < seconds
    return judged(home, done, outcome)


# What it does; the outcome; what the probe says of it; the checks that fail, all of them where none is named.
ANSWERS: dict[str, tuple[Behaviour, str, str, set[str]]] = {
    "down": (always(503, b"<h1>503 Service Unavailable</h1>", HTML), UNAVAILABLE, "503", set()),
    "bad gateway": (always(502, b"Bad Gateway\x1b[2J\r\n"), UNAVAILABLE, "502", set()),
    "500": (always(500, b'{"error": {"code": "INTERNAL_ERROR", "message": "x"}}'), UNAVAILABLE, "500", set()),
    "429": (always(429, b'{"detail": "Rate limit exceeded."}', {"Retry-After": "1"}), UNAVAILABLE, "429", set()),
    "no HTTP": (always(raw=b"SSH-2.0-OpenSSH_9.6\r\n"), UNAVAILABLE, "cut before the answer", set()),
    "closes at once": (always(raw=b""), UNAVAILABLE, "cut before the answer", set()),
    "half an answer": (always(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), UNAVAILABLE, "cut", set()),
    "HTML": (always(200, b"<html>It works!</html>", HTML), FAILED, "200", set()),
    "login page": (always(200, LOGIN, HTML), FAILED, "200", set()),
    "redirect to a login page": (always(302, LOGIN, HTML | WAY_OUT), FAILED, "302", set()),
    "empty": (always(200), FAILED, "200", set()),
    "null": (always(200, b"null"), FAILED, "200", set()),
    "deep": (always(200, b"[" * 100_000), FAILED, "200", set()),
    "forbidden by a gateway": (always(403, b"<h1>403</h1>", HTML), FAILED, "403", set()),
    "list is 500": (only(LIST, always(500)), UNAVAILABLE, "500", {"authentication", "response_keys"}),
    "list with a token is 500": (
        only(LIST, always(500), with_token=True),
        UNAVAILABLE,
        "500",
        {"authentication", "response_keys"},
    ),
    "list is 429": (only(LIST, always(429), with_token=True), UNAVAILABLE, "429", {"authentication", "response_keys"}),
    "list is a login page": (only(LIST, always(200, LOGIN, HTML)), FAILED, "200", {"authentication", "response_keys"}),
    "list with a token is a login page": (
        only(LIST, always(200, LOGIN, HTML), with_token=True),
        FAILED,
        "200, but no JSON",
        {"authentication", "response_keys"},
    ),
    "list is open to all": (
        only(LIST, lambda asked: sound(replace(asked, headers={"Authorization": "Bearer x"}))),
        FAILED,
        "200 without a token",
        {"authentication"},
    ),
    "document is a login page": (only("/openapi", always(200, LOGIN, HTML)), FAILED, "not a JSON", {"create_contract"}),
    "document is 503": (only("/openapi", always(503)), UNAVAILABLE, "503", {"create_contract"}),
    "document is cut": (
        only("/openapi", always(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"openapi"')),
        UNAVAILABLE,
        "cut",
        {"create_contract"},
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_none(empty_home: Home, name: str):
    behaviour, outcome, words, checks = ANSWERS[name]
    with hostile_server(behaviour) as server:
        found = failed_checks(aim(empty_home, f"http://127.0.0.1:{server.port}"), outcome)
        assert set(found) == (checks or set(CHECKS))
        assert words in next(iter(found.values()))
        assert server.methods == {"GET"}


def test_the_sound_one_passes(empty_home: Home):
    with hostile_server(sound) as server:
        done = run_inside(aim(empty_home, f"http://127.0.0.1:{server.port}"), probe_cli.main, "staging")
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (0, "VERIFIED"), done.stderr


SLOW: dict[str, Behaviour] = {
    "never answers": lambda _: None,
    "a byte of the body now and then": always(200, b" ", pieces=10_000, pause=0.2),
    "a byte of the headers now and then": always(body=b"X", raw=b"HTTP/1.1 200 OK\r\nX-", pieces=10_000, pause=0.2),
    "a document that never ends": only("/openapi", always(200, b" ", pieces=10_000, pause=0.2)),
    "a list that never answers": only(LIST, lambda _: None),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_server_that_takes_its_time(empty_home: Home, name: str):
    with hostile_server(SLOW[name]) as server:
        found = failed_checks(aim(empty_home, f"http://127.0.0.1:{server.port}"), UNAVAILABLE)
        assert "no answer within the time-out" in next(iter(found.values()))
        assert server.methods == {"GET"}


@pytest.mark.parametrize("path", ["/readyz", LIST, "/openapi.json"])
def test_what_is_late_once_is_asked_again(empty_home: Home, path: str):
    """An API under load answers late for a moment: that is no reason to refuse an import."""
    late: list[str] = []

    def busy(request: Asked) -> Reply | None:
        if request.path.startswith(path) and not late:
            late.append(request.path)
            return None
        return sound(request)

    with hostile_server(busy) as server:
        done = run_inside(aim(empty_home, f"http://127.0.0.1:{server.port}"), probe_cli.main, "staging")
    assert (done.returncode, json.loads(done.stdout)["outcome"], len(late)) == (0, "VERIFIED", 1), done.stderr


def test_nobody_listens(empty_home: Home):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    found = failed_checks(aim(empty_home, f"http://127.0.0.1:{port}"), UNAVAILABLE)
    assert found == dict.fromkeys(CHECKS, "connection refused")


def test_a_host_name_that_nobody_knows(empty_home: Home):
    home = aim(empty_home, "https://staging.invalid", hosts="staging.invalid")
    assert failed_checks(home, UNAVAILABLE) == dict.fromkeys(CHECKS, "the host name is not known")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_not_followed(empty_home: Home, status: int):
    with hostile_server(sound) as other, hostile_server(sound) as server:
        way = {"Location": f"http://localhost:{other.port}/health", "Refresh": f"0; url=http://127.0.0.1:{other.port}"}
        server.behaviour = lambda _: Reply(status, b"", way)
        found = failed_checks(aim(empty_home, f"http://127.0.0.1:{server.port}"), FAILED)
        assert str(status) in found["health"]
        assert (other.connections, other.asked) == (0, [])
        assert server.methods == {"GET"}
