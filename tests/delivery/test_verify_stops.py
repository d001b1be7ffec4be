"""Reading back that is held up or ends early: nothing is judged without an answer, what was verified is kept."""

import signal
from pathlib import Path

import pytest

from sandbox.process import Sandbox
from tests.delivery.test_delivery import ALL, counts
from tests.delivery.test_delivery_stops import start
from tests.delivery.test_tokens import printing
from tests.delivery.test_verify import BY_THE_PROBE, crowded, readings, verdicts
from tests.support import Home, wait_for

LIST = {"method": "GET", "count": 0, "skip": BY_THE_PROBE}


# What the list answers; what the run says of it.
STOPS = {
    "403": (("status", {"value": 403}), "reading back was answered 403"),
    "404": (("status", {"value": 404}), "reading back was answered 404"),
    "401": (("status", {"value": 401}), "reading back was answered 401"),
    "500": (("status", {"value": 500}), "without an answer that settles anything"),
    "a redirect": (("redirect", {"value": "http://127.0.0.1:9/api/v1/incidents/"}), "reading back was answered 307"),
    "HTML": (("body", {"status": 200, "text": "<html>"}), "200, but not a page of records"),
    "a list": (("body", {"status": 200, "text": "[]"}), "200, but not a page of records"),
    "items of another kind": (("body", {"status": 200, "text": '{"items": [1], "pages": 1}'}), "200, but not a page"),
}


@pytest.mark.parametrize("name", STOPS)
def test_a_list_that_cannot_be_read_is_one_line_and_no_verdict(home: Home, sandbox: Sandbox, name: str):
    (kind, options), message = STOPS[name]
    sandbox.fault(kind, **LIST, **options)
    done = home.loader("--import", "--verify")
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("stopped early")]
    assert message in line
    assert verdicts(home) == {}
    assert counts(home) == {"created": 5}
    assert home.documents("import_summary")[0]["readback"]["not_verified"] == 5
    sandbox.clear_faults()
    assert home.loader("--import", "--verify").returncode == 0
    assert len(verdicts(home)) == 5


def test_a_limit_and_a_spent_token_are_waited_out_and_replaced(home: Home, sandbox: Sandbox):
    once = {"method": "GET", "skip": BY_THE_PROBE}
    sandbox.fault("rate_limited", **once)
    sandbox.fault("status", value=401, **once)
    sandbox.fault("status", value=503, **once)
    sandbox.fault("drop_before_commit", **once)
    done = home.loader("--import", "--verify", QGP_API_TOKEN_COMMAND=printing(home.folder, sandbox.token()))
    assert done.returncode == 0, done.stderr
    assert verdicts(home) == dict.fromkeys(ALL, ("created", "identical", None))
    assert readings(sandbox) == 5
    assert "the token has run out" in done.stderr


def test_what_was_verified_before_ctrl_c_is_kept(home: Home, sandbox: Sandbox, tmp_path: Path):
    assert home.loader("--import").returncode == 0
    crowded(tmp_path, 600)
    sandbox.fault("latency", value=0.7, **LIST)
    begun = len(sandbox.requests()) + BY_THE_PROBE + 5
    with start(home, "--verify", "--batch-size", "2") as run:
        wait_for(lambda: len(sandbox.requests()) >= begun and readings(sandbox) >= 5)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=120)
    assert run.returncode == 130, err
    assert "Traceback" not in err
    kept = verdicts(home)
    assert 2 <= len(kept) < 5
    assert set(kept.values()) == {("exists", "identical", None)}
    assert f"not verified {5 - len(kept)}" in out
    assert counts(home) == {"exists": 5}
