"""The sandbox as a process: how it starts, what it refuses, what outlives it; and the client of its tests."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from sandbox.cli import main
from sandbox.process import Sandbox, running_sandbox
from sandbox.server import loopback_address
from tests.support import COMMAND_SECONDS, wait_for

pytestmark = pytest.mark.server

ANYWHERE = "0.0.0.0"  # noqa: S104 (it must be refused)
INCIDENTS = "/api/v1/incidents/"
ABSENT = object()
_numbers = itertools.count(1)


def fresh() -> str:
    """Give a reference that no test has used."""
    return f"REF-{next(_numbers)}"


class Client:
    """Calls one sandbox with one token, on a new connection each time."""

    def __init__(self, sandbox: Sandbox, *permissions: str, token: str | None = None, tenant: str = "default") -> None:
        self.sandbox = sandbox
        self.token = token or sandbox.token(*permissions, tenant=tenant)

    def call(self, method: str, path: str, **options: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        options = {"timeout": 10, "allow_redirects": False} | options
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.sandbox.url + path, headers=headers, **options)

    def post(self, timeout: float = 10, **fields: object) -> requests.Response:
        """Post a valid incident changed by `fields`; a field that is ABSENT is left out."""
        document = {"reference_number": fresh(), "title": "A title", "description": "Text"}
        document |= {"incident_date": "2026-01-15"} | fields
        document = {name: value for name, value in document.items() if value is not ABSENT}
        return self.call("POST", INCIDENTS, json=document, timeout=timeout)

    def list(self, **parameters: object) -> requests.Response:
        return self.call("GET", INCIDENTS, params=parameters)


def command(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *args], check=False, capture_output=True, text=True, timeout=COMMAND_SECONDS
    )


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.8.9.1", "127.8.9.1"),
        ("localhost", "127.0.0.1"),
        ("::1", "::1"),
        (ANYWHERE, None),
        ("::", None),
        ("192.168.1.1", None),
        ("128.0.0.1", None),
        ("::ffff:127.0.0.1", None),
        ("example.org", None),
        ("", None),
    ],
)
def test_only_loopback_hosts_are_known(host: str, address: str | None):
    assert loopback_address(host) == address


def test_a_host_that_is_not_loopback_is_refused_in_one_line(tmp_path: Path):
    done = command("serve", "--host", ANYWHERE, "--port", "0", "--database", str(tmp_path / "s.sqlite"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"{ANYWHERE} is not a loopback address" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_refused_in_one_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("serve", "--port", port, "--database", str(tmp_path / "s.sqlite"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"port {port}" in done.stderr


def test_a_database_that_cannot_be_opened_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "s.sqlite").write_text("certainly not a database, but long enough to look at " * 20)
    done = command("serve", "--port", "0", "--database", str(tmp_path / "s.sqlite"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (("--fault", "nonsense"), "unknown fault"),
        (("--fault", "redirect"), "needs a URL"),
        (("--fault", "status:1:200"), "must be 400 to 599"),
        (("--fault", "status:-1"), "greater than or equal to 0"),
        (("--withdraw", "severity=huge"), "not a value"),
        (("--withdraw", "title=x"), "not a value"),
        (("--rate-limit", "-1"), "at least 0"),
        (("--port", "65536"), "0 to 65535"),
        (("--environment", "moon"), "invalid choice"),
    ],
)
def test_bad_options_are_refused_with_a_reason(
    capsys: pytest.CaptureFixture[str], option: tuple[str, ...], reason: str
):
    with pytest.raises(SystemExit) as ending:
        main(["serve", *option])
    assert ending.value.code == 2
    assert reason in capsys.readouterr().err


def test_the_ready_line_is_all_it_prints(tmp_path: Path):
    args = [sys.executable, "-m", "sandbox", "serve", "--port", "0", "--environment", "staging"]
    args += ["--database", str(tmp_path / "new" / "s.sqlite")]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        url = line.removeprefix("sandbox listening on ").split()[0]
        assert line == f"sandbox listening on {url} (environment: staging)\n"
        health = Client(Sandbox(url, server)).call("GET", "/health")
        server.send_signal(signal.SIGINT)
        rest = server.communicate(timeout=COMMAND_SECONDS)
    assert health.json()["environment"] == "staging"
    assert rest == ("", "")
    assert server.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", ["hang", "latency"])
def test_a_signal_ends_it_while_a_request_hangs(tmp_path: Path, number: signal.Signals, kind: str):
    failures = []

    def post(client: Client) -> None:
        try:
            client.post()
        except requests.ConnectionError as error:
            failures.append(error)

    with running_sandbox(tmp_path / "s.sqlite", "--fault", f"{kind}:1:600") as sandbox:
        thread = threading.Thread(target=post, args=[Client(sandbox)])
        thread.start()
        wait_for(sandbox.requests)
        os.kill(sandbox.pid, number)
        assert sandbox.process.wait(60) == 0
        thread.join(60)
    assert len(failures) == 1


def test_records_and_log_outlive_a_restart(tmp_path: Path):
    with running_sandbox(tmp_path / "s.sqlite") as sandbox:
        reference = Client(sandbox).post().json()["reference_number"]
    with running_sandbox(tmp_path / "s.sqlite") as sandbox:
        client = Client(sandbox)
        assert client.list(search=reference).json()["total"] == 1
        assert client.post(reference_number=reference).status_code == 409
        statuses = [row["status"] for row in sandbox.requests() if row["method"] == "POST"]
        assert statuses == [201, 409]


def test_a_kill_leaves_records_and_the_request_in_flight(tmp_path: Path):
    with running_sandbox(tmp_path / "s.sqlite") as sandbox:
        Client(sandbox).post(reference_number="KEPT")
        sandbox.fault("latency", value=600, reference="IN FLIGHT")
        with pytest.raises(requests.ReadTimeout):
            Client(sandbox).post(reference_number="IN FLIGHT", timeout=0.5)
        wait_for(lambda: len(sandbox.requests()) == 2)
        sandbox.process.send_signal(signal.SIGKILL)
        assert sandbox.process.wait(60) == -signal.SIGKILL
    with running_sandbox(tmp_path / "s.sqlite") as sandbox:
        assert [record["reference_number"] for record in sandbox.records()] == ["KEPT"]
        logged = [(row["reference_number"], row["status"]) for row in sandbox.requests()]
        assert logged == [("KEPT", 201), ("IN FLIGHT", None)]


def test_the_server_is_gone_after_the_context(tmp_path: Path):
    with running_sandbox(tmp_path / "s.sqlite") as sandbox:
        assert Client(sandbox).call("GET", "/health").status_code == 200
    assert sandbox.process.returncode == 0
    with pytest.raises(requests.ConnectionError):
        Client(sandbox).call("GET", "/health")


def test_a_server_that_does_not_start_is_an_error(tmp_path: Path):
    with (
        pytest.raises(RuntimeError, match="did not start"),
        running_sandbox(tmp_path / "s.sqlite", "--host", ANYWHERE),
    ):
        pass


def test_production_has_no_openapi_document(tmp_path: Path):
    with running_sandbox(tmp_path / "s.sqlite", "--environment", "production") as sandbox:
        answer = Client(sandbox).call("GET", "/openapi.json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
        assert Client(sandbox).call("GET", "/health").json()["environment"] == "production"
        assert Client(sandbox).post().status_code == 201


def test_a_withdrawn_value_leaves_document_and_validation(tmp_path: Path):
    args = ("--withdraw", "severity=negligible", "--withdraw", "status=closed")
    with running_sandbox(tmp_path / "s.sqlite", *args) as sandbox:
        client = Client(sandbox)
        schemas = client.call("GET", "/openapi.json").json()["components"]["schemas"]
        refused = client.post(severity="negligible")
        assert client.post(status="closed").status_code == 422
        assert client.post(severity="low", status="reported", incident_type="other").status_code == 201
    assert schemas["IncidentSeverity"]["enum"] == ["critical", "high", "medium", "low"]
    assert "closed" not in schemas["IncidentStatus"]["enum"]
    assert len(schemas["IncidentType"]["enum"]) == 8
    assert refused.status_code == 422
    assert refused.json()["error"]["details"]["errors"][0]["field"] == "body -> severity"


def test_the_token_command_makes_tokens_the_server_takes(tmp_path: Path):
    options = {
        "all": (),
        "reader": ("--permissions", "incident:read", "--tenant", "other"),
        "expired": ("--expires-in", "-5"),
    }
    tokens = {name: command("token", *args).stdout.strip() for name, args in options.items()}
    with running_sandbox(tmp_path / "s.sqlite") as sandbox:
        everyone, reader, expired = (Client(sandbox, token=tokens[name]) for name in options)
        assert everyone.post().status_code == 201
        assert everyone.list().json()["total"] == 1
        assert reader.list().json()["total"] == 0
        assert reader.post().status_code == 403
        assert expired.list().status_code == 401
