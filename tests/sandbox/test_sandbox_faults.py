"""Faults on demand: for each kind, what the client sees and what is stored."""

import time
from pathlib import Path

import pytest
import requests

from sandbox.process import Sandbox
from tests.sandbox.test_sandbox_process import INCIDENTS, Client, fresh
from tests.support import wait_for
from tests.warm import running_sandbox

ELSEWHERE = "http://127.0.0.1:9/elsewhere"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    with running_sandbox(tmp_path_factory.mktemp("faults") / "sandbox.sqlite") as running:
        yield running


@pytest.fixture
def sandbox(server: Sandbox):
    yield server
    server.clear_faults()


@pytest.fixture
def client(sandbox: Sandbox):
    return Client(sandbox)


def stored(sandbox: Sandbox, reference: object) -> bool:
    return reference in [record["reference_number"] for record in sandbox.records()]


def logged(sandbox: Sandbox, reference: object):
    rows = [row for row in sandbox.requests() if row["reference_number"] == reference]
    return [(row["status"], row["fault"]) for row in rows]


@pytest.mark.parametrize(
    ("kind", "options", "status", "kept"),
    [
        ("status", {"value": 503}, 503, False),
        ("status", {}, 500, False),
        ("status_after_commit", {}, 500, True),
        ("status_after_commit", {"value": 504}, 504, True),
    ],
)
def test_status(sandbox: Sandbox, client: Client, kind: str, options: dict[str, object], status: int, kept: bool):
    reference = fresh()
    sandbox.fault(kind, **options)
    answer = client.post(reference_number=reference)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "INTERNAL_ERROR")
    assert stored(sandbox, reference) == kept
    assert client.post(reference_number=reference).status_code == (409 if kept else 201)
    assert logged(sandbox, reference) == [(status, kind), (409 if kept else 201, None)]


def test_rate_limited(sandbox: Sandbox, client: Client):
    reference = fresh()
    sandbox.fault("rate_limited")
    answer = client.post(reference_number=reference)
    assert answer.status_code == 429
    assert answer.json() == {"detail": "Rate limit exceeded. Please try again later."}
    assert (answer.headers["Retry-After"], answer.headers["X-RateLimit-Remaining"]) == ("1", "0")
    assert abs(int(answer.headers["X-RateLimit-Reset"]) - time.time()) < 2
    assert not stored(sandbox, reference)
    assert logged(sandbox, reference) == [(429, "rate_limited")]


def test_read_only(sandbox: Sandbox, client: Client):
    reference = fresh()
    sandbox.fault("read_only")
    answer = client.post(reference_number=reference)
    assert answer.status_code == 409
    assert sorted(answer.json()) == ["detail", "error_class"]
    assert answer.json()["error_class"] == "UAT_WRITE_BLOCKED"
    assert not stored(sandbox, reference)


def test_redirect(sandbox: Sandbox, client: Client):
    reference = fresh()
    sandbox.fault("redirect", value=ELSEWHERE)
    answer = client.post(reference_number=reference)
    assert (answer.status_code, answer.headers["Location"]) == (307, ELSEWHERE)
    assert not stored(sandbox, reference)


def test_body(sandbox: Sandbox, client: Client):
    reference = fresh()
    sandbox.fault("body", status=201, text='{"reference_number": ')
    answer = client.post(reference_number=reference)
    assert (answer.status_code, answer.text) == (201, '{"reference_number": ')
    assert not stored(sandbox, reference)


@pytest.mark.parametrize(("kind", "kept"), [("drop_before_commit", False), ("drop_after_commit", True)])
def test_drop(sandbox: Sandbox, client: Client, kind: str, kept: bool):
    reference = fresh()
    sandbox.fault(kind)
    with pytest.raises(requests.ConnectionError):
        client.post(reference_number=reference)
    assert stored(sandbox, reference) == kept
    assert logged(sandbox, reference) == [(None, kind)]


@pytest.mark.parametrize(("kind", "kept"), [("hang", False), ("hang_after_commit", True)])
def test_hang_outlasts_the_client(sandbox: Sandbox, client: Client, kind: str, kept: bool):
    reference = fresh()
    sandbox.fault(kind)
    with pytest.raises(requests.ReadTimeout):
        client.post(reference_number=reference, timeout=1)
    wait_for(lambda: stored(sandbox, reference) == kept)
    assert logged(sandbox, reference) == [(None, kind)]
    assert client.post(reference_number=reference).status_code == (409 if kept else 201)


@pytest.mark.parametrize(("kind", "kept"), [("hang", False), ("hang_after_commit", True)])
def test_hang_ends_in_a_cut(sandbox: Sandbox, client: Client, kind: str, kept: bool):
    reference = fresh()
    sandbox.fault(kind, value=0.2)
    begin = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        client.post(reference_number=reference)
    assert time.monotonic() - begin >= 0.2
    assert stored(sandbox, reference) == kept
    assert logged(sandbox, reference) == [(None, kind)]


def test_latency(sandbox: Sandbox, client: Client):
    sandbox.fault("latency", value=3)
    begin = time.monotonic()
    assert client.post().status_code == 201
    slow, begin = time.monotonic() - begin, time.monotonic()
    assert client.post().status_code == 201
    assert slow >= 3 > time.monotonic() - begin


def test_a_client_that_gave_up_waiting_has_its_record_stored(sandbox: Sandbox, client: Client):
    reference = fresh()
    sandbox.fault("latency", value=3)
    with pytest.raises(requests.ReadTimeout):
        client.post(reference_number=reference, timeout=0.5)
    assert not stored(sandbox, reference)
    wait_for(lambda: stored(sandbox, reference))


def test_a_count_of_zero_lasts_until_cleared(sandbox: Sandbox, client: Client):
    sandbox.fault("status", count=0, value=502)
    assert [client.post().status_code for _ in range(4)] == [502] * 4
    sandbox.clear_faults()
    assert client.post().status_code == 201


def test_count_and_skip(sandbox: Sandbox, client: Client):
    sandbox.fault("status", count=2, skip=1, value=503)
    assert [client.post().status_code for _ in range(4)] == [201, 503, 503, 201]


def test_a_fault_for_one_reference_leaves_others_alone(sandbox: Sandbox, client: Client):
    sandbox.fault("status", reference="CHOSEN", value=503)
    assert client.post().status_code == 201
    assert client.post(reference_number="CHOSEN").status_code == 503
    assert client.post(reference_number="CHOSEN").status_code == 201


def test_faults_reach_posts_unless_they_say_otherwise(sandbox: Sandbox, client: Client):
    sandbox.fault("status", value=503)
    assert client.list().status_code == 200
    sandbox.clear_faults()
    sandbox.fault("status", value=503, method="GET")
    assert client.post().status_code == 201
    assert client.list().status_code == 503
    sandbox.fault("status", value=503, method="*", path_prefix="/readyz")
    assert client.call("GET", "/healthz").status_code == 200
    assert client.call("GET", "/readyz").status_code == 503


def test_faults_apply_one_after_the_other_and_latency_adds_to_them(sandbox: Sandbox, client: Client):
    sandbox.fault("latency", count=0, value=0.1)
    sandbox.fault("status", value=502)
    sandbox.fault("status", value=503)
    begin = time.monotonic()
    assert [client.post().status_code for _ in range(3)] == [502, 503, 201]
    assert time.monotonic() - begin >= 0.3


def test_the_faults_in_force_can_be_seen(sandbox: Sandbox, client: Client):
    sandbox.fault("status", count=3, value=503)
    client.post()
    listed = client.call("GET", "/_sandbox/faults", headers={"Authorization": ""}).json()
    assert [(fault["kind"], fault["count"], fault["matched"]) for fault in listed] == [("status", 3, 1)]


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "nonsense"},
        {"kind": "redirect"},
        {"kind": "status", "value": 200},
        {"kind": "hang", "value": -1},
        {"kind": "drop_after_commit", "value": 5},
        {"kind": "status", "misspelt": 1},
        {"kind": "status", "count": -1},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(sandbox: Sandbox, options: dict[str, object]):
    with pytest.raises(RuntimeError, match="422"):
        sandbox.fault(**options)


@pytest.mark.server
def test_faults_from_the_command_line(tmp_path: Path):
    wanted = ["status:2:503", f"redirect:1:{ELSEWHERE}", "body:1:{a:b}", "read_only", "latency:0:0.01"]
    args = [part for fault in wanted for part in ("--fault", fault)]
    with running_sandbox(tmp_path / "s.sqlite", *args) as sandbox:
        client = Client(sandbox)
        answers = [client.post() for _ in range(6)]
        assert [answer.status_code for answer in answers] == [503, 503, 307, 201, 409, 201]
        assert answers[3].text == "{a:b}"
        assert len(sandbox.records()) == 1
        assert [row["path"] for row in sandbox.requests()] == [INCIDENTS] * 6
