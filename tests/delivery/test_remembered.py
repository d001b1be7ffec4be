"""What a run leaves the next one about the rate limiter: the limit, and the requests that it still counts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.process import Sandbox
from tests.support import new_home
from tests.warm import running_sandbox


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Sandbox]:
    """Return a sandbox that allows five requests in eight seconds."""
    options = ("--environment", "staging", "--rate-limit", "5", "--rate-window", "8")
    with running_sandbox(tmp_path / "limited.sqlite", *options) as running:
        yield running


def statuses(sandbox: Sandbox) -> list[int | None]:
    return [request["status"] for request in sandbox.requests() if request["method"] == "POST"]


@pytest.mark.parametrize("killed", [False, True])
def test_the_next_run_sends_nothing_that_would_be_refused(
    workplace: Path, built: Path, limited: Sandbox, *, killed: bool
):
    variables = {"QGP_STAGING_API_URL": limited.url, "QGP_API_TOKEN": limited.token()}
    home = new_home(workplace / f"remembered_{killed}", built, **variables)
    home.settings(rate_limit_window_seconds="8")
    if killed:
        home.loader("--import", "--batch-size", "3", ETL_KILL_AT="before:commit_outcomes:2")
    else:
        assert home.loader("--import").returncode == 0
    assert home.query("select requests_per_window, window_seconds, environment from audit.fct_pacing") == [
        (5, 8.0, "staging")
    ]
    assert statuses(limited) == [201] * 5
    done = home.loader("--import")
    assert done.returncode == 0, done.stderr
    assert statuses(limited)[5:] == [409] * (2 if killed else 5)
    assert home.query("select count(*) from audit.fct_pacing") == [(1,)]
