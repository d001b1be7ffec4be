"""Why there is no answer: only what cannot have reached the server counts as not sent. On a real TLS server."""

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from loader.api.answer import CUT, Answer
from loader.api.client import Api, Loss
from tests.certificates import certificates

Ending = Callable[[ssl.SSLSocket], None]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return certificates(tmp_path_factory.mktemp("certificates"))


def spoil(connection: ssl.SSLSocket) -> None:
    """Write below the encryption what is no record of it."""
    with socket.socket(fileno=connection.detach()) as raw:
        raw.sendall(b"HTTP/1.1 201 Created\r\n\r\n")


def close(connection: ssl.SSLSocket) -> None:
    """Close without a word."""
    connection.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def posted(
    server: socket.socket, pki: dict[str, Path], certificate: Path, ending: Ending
) -> tuple[Answer, list[bytes]]:
    """Post one record to a server that reads it and then does `ending`; return the answer and what has arrived."""
    arrived: list[bytes] = []

    def serve() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        accepted, _ = server.accept()
        try:
            connection = context.wrap_socket(accepted, server_side=True)
            arrived.append(connection.recv(65536))
        except OSError:
            accepted.close()
            return
        ending(connection)

    thread = Thread(target=serve)
    thread.start()
    address = f"https://localhost:{server.getsockname()[1]}"
    with Api(address, None, connect_seconds=5, read_seconds=5, ca_bundle=pki["authority"]) as api:
        answer = api.post("/", {"title": "t"})
    thread.join()
    return answer, arrived


@pytest.mark.server
@pytest.mark.parametrize("ending", [spoil, close])
def test_an_encryption_that_fails_later_may_have_carried_the_record(
    listening: socket.socket, pki: dict[str, Path], ending: Ending
):
    answer, arrived = posted(listening, pki, pki["good"], ending)
    assert arrived[0].startswith(b"POST / HTTP/1.1")
    assert (answer.loss, answer.reason) == (Loss.NO_ANSWER, CUT)


@pytest.mark.server
def test_a_certificate_that_is_not_trusted_was_sent_nothing(listening: socket.socket, pki: dict[str, Path]):
    answer, arrived = posted(listening, pki, pki["self_signed"], close)
    assert arrived in ([], [b""])
    assert answer.loss is Loss.NOT_SENT
    assert answer.reason.startswith("its certificate is not trusted (self")
