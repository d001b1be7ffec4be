"""The contract probe as a command, against a sandbox: what it says, what it keeps, and that it only ever reads."""

import hashlib
import json
import socket
import subprocess
import time
from typing import Any

import pytest

from sandbox.process import Sandbox
from tests.probe.hosting import serving
from tests.support import Home

PASSED = {"outcome": "VERIFIED", "all_passed": True, "summary": {"total": 4, "passed": 4, "failed": 0}}
CHECKS = ["health", "authentication", "response_keys", "create_contract"]
Done = subprocess.CompletedProcess[str]


def aim(home: Home, sandbox: Sandbox) -> Home:
    home.environment |= {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token()}
    return home


@pytest.fixture
def aimed(empty_home: Home, sandbox: Sandbox) -> Home:
    """Return a home without a database, whose staging environment is the sandbox."""
    return aim(empty_home, sandbox)


def failures(home: Home, done: Done) -> dict[str, Any]:
    """Return the failed checks by name, after looking that everything the probe wrote agrees on them."""
    assert done.returncode == 3, done.stderr
    document = home.documents("contract_probe")[-1]
    assert [check["name"] for check in document["checks"]] == CHECKS
    failed = {check["name"]: check for check in document["checks"] if not check["passed"]}
    summary = {"total": 4, "passed": 4 - len(failed), "failed": len(failed)}
    assert json.loads(done.stdout) == {"outcome": document["outcome"], "all_passed": False, "summary": summary}
    for check in document["checks"]:
        assert (f"\nFAILED {check['name']}: " in "\n" + done.stderr) is not check["passed"]
        assert bool(check["curl"]) is not check["passed"]
        assert (f"\n  {check['curl']}\n" in done.stderr) is not check["passed"]
    assert all(check["how_to_fix"] for check in failed.values())
    assert failed
    return failed


def refused(done: Done) -> str:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    return done.stderr


def test_verified(home: Home, sandbox: Sandbox):
    done = home.probe("staging")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == PASSED
    (document,) = home.documents("contract_probe")
    assert document | PASSED == document
    assert [(check["name"], check["passed"], check["how_to_fix"]) for check in document["checks"]] == [
        (name, True, None) for name in CHECKS
    ]
    kept = home.query("select run_id, check_name, passed, environment, address from audit.fct_probe_checks")
    assert kept == [(document["run_id"], name, True, "staging", sandbox.url) for name in CHECKS]
    (path,) = home.output.iterdir()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert home.query("select run_id, kind, path, sha256 from audit.fct_output_files") == [
        (document["run_id"], "contract_probe", str(path), sha256)
    ]
    assert {request["method"] for request in sandbox.requests()} == {"GET"}
    secret = home.environment["QGP_API_TOKEN"]
    assert secret not in done.stdout + done.stderr
    written = [path.read_bytes() for path in home.folder.rglob("*") if path.is_file()]
    assert not any(secret.encode() in content for content in written)


@pytest.mark.server
def test_sends_seven_get_requests_and_the_token_with_two(empty_home: Home):
    with serving() as api:
        done = empty_home.probe("staging", QGP_STAGING_API_URL=api.url, QGP_API_TOKEN="t")  # noqa: S106
    assert (done.returncode, json.loads(done.stdout)) == (0, PASSED)
    paths = ["/health", "/readyz", "/api/v1/meta/version", *["/api/v1/incidents/"] * 3, "/openapi.json"]
    tokens = [False, False, False, False, True, True, False]
    assert api.seen == [("GET", path, token) for path, token in zip(paths, tokens, strict=True)]


def test_needs_no_database(aimed: Home):
    done = aimed.probe("staging")
    assert (done.returncode, json.loads(done.stdout)) == (0, PASSED)
    assert not aimed.database.exists()
    assert "not in audit" in done.stderr
    assert len(aimed.documents("contract_probe")) == 1


@pytest.mark.parametrize("kind", ["bad", "expired"])
def test_token_that_is_not_taken(aimed: Home, sandbox: Sandbox, kind: str):
    token = sandbox.token(expires_in=-60) if kind == "expired" else "not-a-token-of-this-api"
    done = aimed.probe("staging", QGP_API_TOKEN=token)
    failed = failures(aimed, done)
    assert set(failed) == {"authentication", "response_keys"}
    words = {"expired": "the token expired 1 minute ago", "bad": "the token is malformed, not a JWT"}
    assert words[kind] in failed["authentication"]["found"]
    assert "QGP_API_TOKEN" in failed["authentication"]["how_to_fix"]
    assert token not in done.stdout + done.stderr
    assert [path for path in aimed.output.iterdir() if token in path.read_text(encoding="utf-8")] == []


def test_no_token(aimed: Home, sandbox: Sandbox):
    assert "QGP_API_TOKEN is not set" in refused(aimed.probe("staging", QGP_API_TOKEN=""))
    assert sandbox.requests() == []


@pytest.mark.server
def test_nothing_listens(empty_home: Home):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = empty_home.probe("staging", QGP_STAGING_API_URL=f"http://127.0.0.1:{port}", QGP_API_TOKEN="t")  # noqa: S106
    failed = failures(empty_home, done)
    assert {check["found"] for check in failed.values()} == {"connection refused"}
    assert len(failed) == 4


@pytest.mark.parametrize(("argument", "says"), [("production", "imports are blocked"), ("elsewhere", "unknown")])
def test_environment_that_may_not_be_named(aimed: Home, sandbox: Sandbox, argument: str, says: str):
    assert says in refused(aimed.probe(argument))
    assert sandbox.requests() == []


@pytest.mark.parametrize(
    ("path", "text", "failing"),
    [
        ("/health", "<html>maintenance</html>", {"health"}),
        ("/health", "[]", {"health"}),
        ("/api/v1/incidents/", '{"items": [], "total": 0}', {"authentication", "response_keys"}),
        ("/api/v1/incidents/", '{"items": [{}], "total": 1}', {"authentication", "response_keys"}),
        ("/api/v1/incidents/", '{"items": [1], "total": 1}', {"authentication", "response_keys"}),
        ("/openapi.json", '{"openapi": "3.1.0", "paths": {"/api/v1/inci', {"create_contract"}),
    ],
)
def test_answers_of_another_shape(aimed: Home, sandbox: Sandbox, path: str, text: str, failing: set[str]):
    sandbox.fault("body", 0, method="GET", path_prefix=path, status=200, text=text)
    assert set(failures(aimed, aimed.probe("staging"))) == failing


def test_a_health_that_never_answers(aimed: Home, sandbox: Sandbox):
    aimed.settings(request_seconds="1")
    sandbox.fault("hang", 0, method="GET", path_prefix="/health")
    began = time.monotonic()
    failed = failures(aimed, aimed.probe("staging"))
    assert time.monotonic() - began < 10
    assert {check["found"] for check in failed.values()} == {"no answer within the time-out"}
    assert len(failed) == 4


def test_all_requests_together_are_bounded(aimed: Home, sandbox: Sandbox):
    aimed.settings(total_seconds="2")
    sandbox.fault("latency", 0, method="GET", path_prefix="/", value=0.9)
    sandbox.fault("hang", 0, method="GET", path_prefix="/api/v1/incidents/")
    began = time.monotonic()
    failed = failures(aimed, aimed.probe("staging"))
    assert time.monotonic() - began < 10
    assert {"authentication", "response_keys", "create_contract"} <= set(failed)
    assert aimed.documents("contract_probe")[0]["outcome"] == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("path", "text", "outcome"),
    [
        ("/readyz", '{"status": "starting"}', "FAILED"),
        ("/api/v1/meta/version", '{"environment": " Production "}', "refused"),
    ],
)
def test_health_is_more_than_one_answer(aimed: Home, sandbox: Sandbox, path: str, text: str, outcome: str):
    sandbox.fault("body", 0, method="GET", path_prefix=path, status=200, text=text)
    done = aimed.probe("staging")
    if outcome == "refused":
        assert "says that it is production" in refused(done)
    else:
        assert f"{path}: 200, status 'starting'" in failures(aimed, done)["health"]["found"]


def test_an_item_has_every_key_that_the_loader_relies_on(aimed: Home, sandbox: Sandbox):
    page = {"items": [{"id": 1, "title": "t"}], "total": 1, "page": 1, "page_size": 1, "pages": 1}
    sandbox.fault("body", 0, method="GET", path_prefix="/api/v1/incidents/", status=200, text=json.dumps(page))
    found = failures(aimed, aimed.probe("staging"))["response_keys"]["found"]
    assert "items[].reference_number" in found
    assert "items[].location" in found
    assert "items[].title" not in found
