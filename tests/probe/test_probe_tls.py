"""Certificates: who is not to be trusted gets no request, and a record that met one was not sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loader import __main__ as loader_main
from probe import cli as probe_cli
from tests.certificates import certificates
from tests.hostile import Asked, Hostile, Reply, hostile_server, sound
from tests.inside import CHECKS, UNAVAILABLE, Done, aim, judged, run_inside
from tests.support import Home, new_home

CLOSE = {"Connection": "close"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(pki: dict[str, Path]) -> Iterator[Hostile]:
    """Return an API that speaks TLS and closes every connection after one answer."""
    with hostile_server(lambda asked: closing(sound(asked)), pki["good"]) as running:
        yield running


def closing(reply: Reply) -> Reply:
    return Reply(reply.status, reply.body, reply.headers | CLOSE)


@pytest.fixture
def importing(workplace: Path, built: Path, server: Hostile, pki: dict[str, Path], request: pytest.FixtureRequest):
    """Return a home with the golden sample built that trusts the authority of this module's certificates."""
    name = "".join(char if char.isalnum() else "_" for char in request.node.name)
    home = new_home(workplace / f"tls_{name}", built)
    home.settings(max_concurrency="1")
    return aim(home, f"https://localhost:{server.port}", pki["authority"])


def url(server: Hostile) -> str:
    return f"https://localhost:{server.port}"


def posts(server: Hostile) -> list[Asked]:
    return [asked for asked in server.asked if asked.method == "POST"]


def outcomes(home: Home) -> list[tuple[str, int]]:
    return home.query(
        "select result, attempts from audit.fct_import_records order by run_id desc, result, reference_number limit 5"
    )


def test_a_certificate_of_the_named_authority_is_trusted(empty_home: Home, server: Hostile, pki: dict[str, Path]):
    done = run_inside(aim(empty_home, url(server), pki["authority"]), probe_cli.main, "staging")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("shown", "trusted", "words"),
    [
        ("good", None, "unable to get local issuer certificate"),
        ("good", "self_signed", "unable to get local issuer certificate"),
        ("expired", "authority", "certificate has expired"),
        ("another_host", "authority", "certificate is not valid for 'localhost'"),
        ("self_signed", "authority", "self-signed certificate"),
        ("self_signed", None, "self-signed certificate"),
    ],
)
def test_a_certificate_that_is_not_trusted(
    empty_home: Home, server: Hostile, pki: dict[str, Path], shown: str, trusted: str | None, words: str
):
    server.certificate = pki[shown]
    home = aim(empty_home, url(server), pki[trusted] if trusted else None)
    # What requests itself would read.
    home.environment |= {name: str(pki["authority"]) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}
    found = judged(home, run_inside(home, probe_cli.main, "staging"), UNAVAILABLE)
    assert list(found) == list(CHECKS)
    for text in found.values():
        assert "its certificate is not trusted" in text
        assert words in text
    assert server.connections > 0
    assert server.asked == []


@pytest.mark.server
@pytest.mark.parametrize("kind", ["no TLS", "cut", "silent"])
def test_no_handshake(empty_home: Home, pki: dict[str, Path], kind: str):
    with hostile_server(sound) as server:
        server.greeting = {"no TLS": b"HTTP/1.1 400 Bad Request\r\n\r\n", "cut": b"", "silent": None}[kind]
        home = aim(empty_home, url(server), pki["authority"])
        found = judged(home, run_inside(home, probe_cli.main, "staging"), UNAVAILABLE)
    words = "no connection within the time-out" if kind == "silent" else "the TLS handshake failed"
    assert found == dict.fromkeys(CHECKS, words)


@pytest.mark.parametrize("content", ["missing", "empty", "no certificate", "the key alone", "a folder"])
def test_a_bundle_that_cannot_be_read_is_refused(empty_home: Home, server: Hostile, pki: dict[str, Path], content: str):
    bundle = empty_home.folder / "bundle.pem"
    if content == "a folder":
        bundle.mkdir()
    elif content != "missing":
        key = pki["authority"].with_suffix(".key").read_text(encoding="utf-8")
        bundle.write_text({"empty": "", "the key alone": key}.get(content, content), encoding="utf-8")
    home = aim(empty_home, url(server), bundle)
    for main, arguments in (
        (probe_cli.main, ["staging"]),
        (loader_main.main, ["--environment", "staging", "--import"]),
    ):
        done = run_inside(home, main, *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "ca_bundle" in done.stderr
    assert server.connections == 0


def imported(home: Home) -> Done:
    return run_inside(home, loader_main.main, "--environment", "staging", "--import")


@pytest.mark.parametrize("shown", ["expired", "another_host", "self_signed"])
def test_an_import_posts_nothing_to_whom_it_cannot_trust(
    importing: Home, server: Hostile, pki: dict[str, Path], shown: str
):
    server.certificate = pki[shown]
    done = imported(importing)
    assert (done.returncode, server.asked) == (3, []), done.stderr
    assert done.stderr.count("error: ") == 1
    assert "its certificate is not trusted" in done.stderr
    assert importing.query("select count(*) from audit.fct_intents") == [(0,)]


def test_an_import_posts_nothing_where_nobody_listens(importing: Home):
    importing.environment["QGP_STAGING_API_URL"] = "https://localhost:9"
    done = imported(importing)
    assert done.returncode == 3
    assert "connection refused" in done.stderr
    assert importing.query("select count(*) from audit.fct_intents") == [(0,)]


def changing(server: Hostile, pki: dict[str, Path], after: int, connections: int) -> None:
    """Show the self-signed certificate after so many requests, to so many connections."""

    def behaviour(asked: Asked) -> Reply:
        if len(server.asked) == after:
            server.certificates[:] = [pki["self_signed"]] * connections
        return closing(sound(asked))

    server.behaviour = behaviour


def asked_by_the_probe(home: Home, server: Hostile) -> int:
    assert run_inside(home, probe_cli.main, "staging").returncode == 0
    number = len(server.asked)
    server.asked.clear()
    return number


@pytest.mark.parametrize("sent", [0, 3])
def test_a_certificate_that_changes_while_records_are_posted(
    importing: Home, server: Hostile, pki: dict[str, Path], sent: int
):
    changing(server, pki, asked_by_the_probe(importing, server) + sent, 10_000)
    done = imported(importing)
    assert done.returncode == 4, done.stderr
    assert len(posts(server)) == sent
    messages = "select distinct error_message from audit.fct_import_records where error_message is not null"
    assert importing.query(messages) == [("its certificate is not trusted (self-signed certificate)",)]
    assert outcomes(importing) == [("created", 1)] * sent + [("not_attempted", 0)] * (5 - sent)
    server.certificates.clear()
    again = imported(importing)
    assert again.returncode == 0, again.stderr
    references = [asked.body for asked in posts(server)]
    assert len(references) == len(set(references)) == 5


def test_a_certificate_that_is_mended_in_time(importing: Home, server: Hostile, pki: dict[str, Path]):
    changing(server, pki, asked_by_the_probe(importing, server) + 2, 2)
    done = imported(importing)
    assert done.returncode == 0, done.stderr
    assert outcomes(importing) == [("created", 1)] * 5
    assert len(posts(server)) == 5
