"""The token appears nowhere, in no form, whatever a server does with what it was sent and however a run ends."""

import json
import logging
from pathlib import Path

import pytest

from loader.__main__ import main
from loader.api.tokens import Tokens
from probe import cli as probe_cli
from tests.faults.canary import new_canary
from tests.hostile import LIST, OPENAPI, Asked, Behaviour, Hostile, Reply, always, hostile_server, only
from tests.inside import aim, run_inside
from tests.support import Home, new_home

CANARY = new_canary()
FORMS = CANARY.forms()


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_hidden(name: str):
    hidden = Tokens(CANARY.token, None, print).hide(f'<p title="{FORMS[name]}">you sent {FORMS[name]}, it is not valid')
    assert CANARY.found_in(f"x {FORMS[name]}") >= {name}
    assert CANARY.found_in(hidden) == set()
    assert "it is not valid" in hidden
    assert hidden.count("***") == 2


def test_a_token_too_short_to_be_a_secret_takes_nothing_out():
    assert Tokens("items", None, print).hide("the items") == "the items"


def error(text: str) -> bytes:
    return json.dumps({"error": {"code": text, "message": text, "details": {"errors": [{"field": text}]}}}).encode()


def escaped(text: str) -> bytes:
    """Return JSON in which every character of the text is an escape."""
    return b'{"detail": "' + "".join(f"\\u{ord(sign):04x}" for sign in text).encode() + b'"}'


def document(text: str) -> bytes:
    """Return the OpenAPI document with the text as a required field, as a type and as the only enum value."""
    described = json.loads(OPENAPI)
    schema = described["components"]["schemas"]["IncidentCreate"]
    schema["required"].append(text)
    schema["properties"] |= {text: {"type": "string"}, "title": {"type": text, "format": text}}
    described["components"]["schemas"]["IncidentType"]["enum"] = [text]
    return json.dumps(described).encode()


LINE = CANARY.token
ECHOES: dict[str, Behaviour] = {
    **{f"{status} in the error": always(status, error(CANARY.text(status))) for status in (401, 403, 422, 429, 500)},
    **{f"{status} in the page": always(status, CANARY.text(n).encode()) for n, status in enumerate((200, 404, 503), 3)},
    "in escapes": always(403, escaped(CANARY.text(6))),
    "in UTF-16": always(500, f"<p>{LINE}</p>".encode("utf-16")),
    "in a JSON text": always(401, json.dumps(CANARY.text(8)).encode()),
    "as a key": always(403, json.dumps({"detail": {CANARY.text(9): [CANARY.text(10)]}}).encode()),
    "in headers": always(
        429,
        b"{}",
        dict.fromkeys(("Content-Type", "Retry-After", "X-RateLimit-Limit", "Location", "Set-Cookie", "Server"), LINE),
    ),
    "in the type of a page": always(200, b"<p>", {"Content-Type": LINE}),
    "in the location": always(302, b"", {"Location": f"http://127.0.0.1:9/?{LINE}"}),
    "in the reason": always(raw=f"HTTP/1.1 403 {LINE}\r\nContent-Length: 0\r\n\r\n".encode()),
    "in the status line": always(raw=f"{LINE}\r\n\r\n".encode()),
    "in a header that is none": always(raw=f"HTTP/1.1 500 X\r\n{LINE}\r\nContent-Length: 0\r\n\r\n".encode()),
    "in the length": always(raw=f"HTTP/1.1 200 X\r\nContent-Length: {LINE}\r\n\r\n".encode()),
    "in a chunk": always(raw=f"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n{LINE}\r\n".encode()),
    "in the health": only(
        ("/health", "/readyz", "/api/v1/meta"),
        always(200, json.dumps(dict.fromkeys(("status", "environment", "build_sha"), CANARY.text(2))).encode()),
    ),
    "in the list": only(LIST, always(200, json.dumps({"items": [{CANARY.text(4): CANARY.text(5)}]}).encode())),
    "in the contract": only("/openapi", lambda _: Reply(200, document(CANARY.text(7)))),
    "in a reference of the contract": only(
        "/openapi", lambda _: Reply(200, OPENAPI.replace(b"#/components", f"#/{LINE}".encode()))
    ),
}


def aimed(home: Home, server: Hostile) -> Home:
    aim(home, f"http://127.0.0.1:{server.port}").environment["QGP_API_TOKEN"] = CANARY.token
    return home


def nowhere(home: Home, *said: str) -> None:
    assert [CANARY.found_in(text) for text in said] == [set()] * len(said)
    assert CANARY.found_below(home.folder) == {}


@pytest.mark.server
@pytest.mark.parametrize("name", ECHOES)
def test_a_probe_of_a_server_that_echoes_it(empty_home: Home, caplog: pytest.LogCaptureFixture, name: str):
    caplog.set_level(logging.DEBUG)
    with hostile_server(ECHOES[name]) as server:
        done = run_inside(aimed(empty_home, server), probe_cli.main, "staging")
    assert done.returncode == 3, done.stderr
    nowhere(empty_home, done.stdout, done.stderr, caplog.text)


STATUSES = {"EXT-2026-0001": 422, "EXT-2026-0002": 500, "EXT-2026-0003": 409, "EXT-2026-0004": 201}


def by_record(asked: Asked) -> Reply:
    """Answer each record in another way, always with the token."""
    reference = json.loads(asked.body)["reference_number"]
    status = STATUSES.get(reference, 413)
    if status == 201:
        return Reply(201, json.dumps({"id": CANARY.text(3), "reference_number": reference}).encode())
    return Reply(status, error(CANARY.text(status)), {"Retry-After": CANARY.token})


STOPS: dict[str, Behaviour] = {
    "a platform that refuses writes": always(409, json.dumps({"detail": CANARY.text(2)}).encode()),
    "each record another answer": by_record,
}


@pytest.fixture
def importing(workplace: Path, built: Path, request: pytest.FixtureRequest) -> Home:
    """Return a home with the golden sample built."""
    name = "".join(char if char.isalnum() else "_" for char in request.node.name)
    return new_home(workplace / f"canary_{name}"[:100], built)


@pytest.mark.parametrize("name", STOPS)
def test_an_import_to_a_server_that_echoes_it(importing: Home, caplog: pytest.LogCaptureFixture, name: str):
    caplog.set_level(logging.DEBUG)
    with hostile_server(only(LIST, STOPS[name], "POST")) as server:
        done = run_inside(aimed(importing, server), main, "--environment", "staging", "--import", "--verify")
    assert done.returncode == (1 if name.startswith("each") else 4), done.stderr
    kept = importing.query("select string_agg(error_message, ' ') from audit.fct_import_records")
    assert "***" in str(kept)
    nowhere(importing, done.stdout, done.stderr, caplog.text)


def test_a_defect_of_ours_is_a_traceback_without_it(importing: Home):
    importing.query("alter table audit.fct_import_records alter column error_message type integer")
    with hostile_server(only(LIST, by_record, "POST")) as server:
        done = aimed(importing, server).loader("--import")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    nowhere(importing, done.stdout, done.stderr)
