"""Every request ends by the clock: a server that sends a byte now and then holds nobody up."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loader.api.client import Answer, Api, Loss
from tests.certificates import certificates
from tests.hostile import always, hostile_server

pytestmark = pytest.mark.server

PATH = "/api/v1/incidents/"
CONNECT, READ = 0.5, 0.7
# The server goes on for a minute; a loaded machine is far quicker than that.
BOUND = 20.0
TRICKLE = {"pieces": 600, "pause": 0.1}
SLOW = {
    "slow head": always(body=b"X", raw=b"HTTP/1.1 201 Created\r\nX-", **TRICKLE),
    "slow body": always(201, b" ", **TRICKLE),
    "slow body of no announced length": always(body=b" ", raw=b"HTTP/1.1 201 Created\r\n\r\n", **TRICKLE),
    "slow body of a connection that is to close": always(201, b" ", {"Connection": "close"}, **TRICKLE),
    "slow chunks": always(
        body=b"1\r\n \r\n", raw=b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n", **TRICKLE
    ),
    "endless 100 Continue": always(body=b"HTTP/1.1 100 Continue\r\n\r\n", raw=b"", **TRICKLE),
    "endless 103 Early Hints": always(body=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", raw=b"", **TRICKLE),
    "says nothing": lambda _: None,
}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return certificates(tmp_path_factory.mktemp("certificates"))


def asked(url: str, method: str, **options: Path) -> Answer:
    """Send one request, and look that it ended in time."""
    started = time.monotonic()
    with Api(url, None, connect_seconds=CONNECT, read_seconds=READ, **options) as api:
        answer = api.get(PATH) if method == "GET" else api.post(PATH, {"reference_number": "R-1"})
    assert time.monotonic() - started < BOUND
    return answer


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", SLOW)
def test_a_request_ends_however_slowly_bytes_come(name: str, method: str):
    with hostile_server(SLOW[name]) as server:
        answer = asked(f"http://127.0.0.1:{server.port}", method)
    assert (answer.status, answer.loss, answer.reason) == (None, Loss.NO_ANSWER, "no answer within the time-out")


@pytest.mark.parametrize("name", SLOW)
def test_a_request_over_tls_ends_too(name: str, pki: dict[str, Path]):
    with hostile_server(SLOW[name], pki["good"]) as server:
        answer = asked(f"https://localhost:{server.port}", "POST", ca_bundle=pki["authority"])
    assert (answer.status, answer.loss, answer.reason) == (None, Loss.NO_ANSWER, "no answer within the time-out")


INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
    "several": b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 X\r\n\r\n",
}


@pytest.mark.parametrize("name", INTERIM)
def test_interim_answers_are_skipped(name: str):
    final = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
    with hostile_server(always(raw=INTERIM[name] + final)) as server:
        answer = asked(f"http://127.0.0.1:{server.port}", "POST")
    assert (answer.status, answer.body) == (201, b"{}")


def test_the_time_grows_with_what_an_answer_brings():
    """An answer that is long and steady ends well after the time that a short one has."""
    long = always(200, b"x" * (1 << 20), pieces=8, pause=0.3)
    with (
        hostile_server(long) as server,
        Api(
            f"http://127.0.0.1:{server.port}", None, connect_seconds=0.5, read_seconds=1, read_seconds_per_megabyte=5
        ) as api,
    ):
        answer = api.get(PATH, max_bytes=16 << 20)
    assert (answer.status, len(answer.body)) == (200, 8 << 20)


def test_a_connection_that_was_cut_off_is_not_used_again():
    slow, quick = always(201, b" ", **TRICKLE), always(201, b"{}")
    with (
        hostile_server(slow) as server,
        Api(f"http://127.0.0.1:{server.port}", None, connect_seconds=CONNECT, read_seconds=READ) as api,
    ):
        assert api.get(PATH).status is None
        server.behaviour = quick
        assert api.get(PATH).status == 201


@contextmanager
def threads_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    deadline = time.monotonic() + BOUND
    while threading.active_count() > before and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert threading.active_count() <= before


def test_one_thread_watches_all_requests_and_ends_with_them():
    with (
        hostile_server(always(200, b"{}")) as server,
        threads_left(),
        Api(f"http://127.0.0.1:{server.port}", None, connect_seconds=5, read_seconds=5) as api,
    ):
        for _ in range(20):
            assert api.get(PATH).status == 200
        assert sum("(_run)" in thread.name for thread in threading.enumerate()) == 1
