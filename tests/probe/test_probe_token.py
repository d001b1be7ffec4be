"""What the probe says of a token: not set, malformed, expired, refused, lacking a permission, about to expire."""

import base64
import json
import sys
import time
from collections.abc import Iterator

import pytest

from loader.console import duration
from probe.jwt import describe
from sandbox.process import Sandbox
from tests.probe.hosting import serving
from tests.support import Home


def jwt(claims: object) -> str:
    """Return an unsigned JWT of our own making."""
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{part}.c2lnbmF0dXJl"


def authentication(home: Home) -> tuple[str, str | None, list[str]]:
    """Return what was found, what to do, and the notices, of the last probe."""
    document = home.documents("contract_probe")[-1]
    check = next(check for check in document["checks"] if check["name"] == "authentication")
    notices = [finding["message"] for finding in document["findings"] if finding["check"] == "authentication"]
    return check["found"], check["how_to_fix"], notices


@pytest.mark.parametrize(
    ("kind", "found", "fix"),
    [
        ("malformed", "the token is malformed, not a JWT", "all of it and nothing else"),
        ("expired", "the token expired 12 minutes ago", "refresh QGP_API_TOKEN"),
        ("foreign", "the token is refused though it expires only in 19 minutes", "another one's, or a revoked one"),
        ("undated", "the token does not say when it expires", "refresh QGP_API_TOKEN"),
        ("no permission", "403 (PERMISSION_DENIED", "incident:read, incident:create, incident:set_reference_number"),
    ],
)
def test_each_way_in_which_a_token_is_not_taken(home: Home, sandbox: Sandbox, kind: str, found: str, fix: str):
    tokens = {
        "malformed": "eyJhbGciOiJIUzI1NiJ9.only-two-parts",
        "expired": sandbox.token(expires_in=-730),
        "foreign": jwt({"exp": time.time() + 1190}),
        "undated": jwt({"sub": "etl"}),
        "no permission": sandbox.token("incident:create"),
    }
    done = home.probe("staging", QGP_API_TOKEN=tokens[kind])
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (3, "FAILED")
    words, to_do, _ = authentication(home)
    assert found in words
    assert fix in str(to_do)
    line = next(line for line in done.stderr.splitlines() if line.startswith("FAILED authentication"))
    assert found in line
    assert tokens[kind] not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("token", "says"), [("", "is not set"), ("two words", "holds white space"), ("tab\there", "holds white space")]
)
def test_a_token_that_cannot_be_sent_is_refused_before_any_request(home: Home, sandbox: Sandbox, token: str, says: str):
    done = home.probe("staging", QGP_API_TOKEN=token)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"QGP_API_TOKEN {says}" in done.stderr
    assert sandbox.requests() == []


def test_a_token_that_expires_before_the_import_could_end(home: Home, sandbox: Sandbox):
    home.query("update validation.int_incident_totals set ready_records = 1234")
    home.query(
        "insert into audit.fct_pacing by name select 'r' as run_id, ? as address, '/api/v1/incidents/' as endpoint, "
        "60 as requests_per_window, 60 as window_seconds, now()::timestamp as learned_at",
        sandbox.url,
    )
    short = sandbox.token(expires_in=270)
    assert home.probe("staging", QGP_API_TOKEN=short).returncode == 0
    needs = "an import of the 1,234 records of golden_sample_incidents.csv needs about 20 minutes"
    (notice,) = authentication(home)[2]
    assert notice.startswith(f"the token expires in 4 minutes, {needs}: set QGP_API_TOKEN_COMMAND")
    assert f"\n{notice}\n" in "\n" + home.loader("--import", QGP_API_TOKEN=short).stderr
    home.query("update validation.int_incident_totals set ready_records = 1234")
    home.probe("staging", QGP_API_TOKEN=short, QGP_API_TOKEN_COMMAND=f"{sys.executable} -c 0")
    (notice,) = authentication(home)[2]
    assert notice == "the token expires in 4 minutes; QGP_API_TOKEN_COMMAND gives the next one"


def test_the_command_for_a_token_has_its_own_time(home: Home, sandbox: Sandbox):
    home.settings(total_seconds="4", request_seconds="3")
    slow = f"{sys.executable} -c 'import time; time.sleep(5); print(\"{sandbox.token()}\")'"
    done = home.probe("staging", QGP_API_TOKEN=sandbox.token(expires_in=-60), QGP_API_TOKEN_COMMAND=slow)
    assert done.returncode == 0, done.stderr


def test_no_rate_no_guess(home: Home, sandbox: Sandbox):
    home.probe("staging", QGP_API_TOKEN=sandbox.token(expires_in=270))
    assert authentication(home)[2] == ["the token expires in 4 minutes"]


@pytest.fixture
def lenient(empty_home: Home) -> Iterator[Home]:
    """Return a home aimed at an API that takes every token."""
    with serving() as api:
        empty_home.environment["QGP_STAGING_API_URL"] = api.url
        yield empty_home


def test_the_api_decides_not_the_clock(lenient: Home):
    done = lenient.probe("staging", QGP_API_TOKEN=jwt({"exp": time.time() - 730}))
    assert done.returncode == 0
    (notice,) = authentication(lenient)[2]
    assert notice == "the token expired 12 minutes ago by this clock, yet the API takes it: check the clock"


@pytest.mark.parametrize("token", ["opaque-token", f"e30.{'W' * 40_000}.x"])
def test_a_token_that_says_nothing_is_no_matter_when_it_is_taken(lenient: Home, token: str):
    assert lenient.probe("staging", QGP_API_TOKEN=token).returncode == 0
    assert authentication(lenient)[2] == []


@pytest.mark.parametrize(
    ("token", "is_jwt"),
    [("", False), ("..", False), ("a.b", False), ("e30.!!!.x", False), (jwt([]), False), (jwt(None), False),
     ("e30." + base64.urlsafe_b64encode(b"[" * 30_000).decode().rstrip("=") + ".x", False),
     ("e30." + base64.urlsafe_b64encode(b'{"exp": ' + b"9" * 5000 + b"}").decode().rstrip("=") + ".x", False),
     ("e30." + base64.urlsafe_b64encode(b'{"exp": ' + b"9" * 400 + b"}").decode().rstrip("=") + ".x", True),
     ("e30." + base64.urlsafe_b64encode(b'{"exp": NaN}').decode().rstrip("=") + ".x", True),
     (jwt({}), True), (jwt({"exp": True}), True), (jwt({"exp": None}), True), (jwt({"exp": "1"}), True)],
    ids=range(14),
)  # fmt: skip
def test_a_hostile_token_is_only_read(token: str, is_jwt: bool):
    assert (describe(token).is_jwt, describe(token).expires_at) == (is_jwt, None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (1.9, "1 second"), (60, "1 minute"), (119.9, "1 minute"), (730, "12 minutes"),
     (-730, "12 minutes"), (7199, "119 minutes"), (7200, "2 hours"), (172_800, "2 days"), (1e300, None)],
)  # fmt: skip
def test_duration(seconds: float, words: str | None):
    assert duration(seconds).endswith(" days") if words is None else duration(seconds) == words
