"""Runs a command within the test's own process, a second faster than a process of its own: for tables of many runs."""

import contextlib
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import Home

TOKEN = "made.up.token"  # noqa: S105 - no token
CHECKS = ("health", "authentication", "response_keys", "create_contract")
SHORT = {
    "connect_seconds = 5\nrequest_seconds = 15": "connect_seconds = 0.5\nrequest_seconds = 1",
    "total_seconds = 60": "total_seconds = 3",
}
BEGINNINGS = ("passed ", "FAILED ", "  curl ", "  notice: ", "wrote ", "the checks are ", "there is no build ")
UNAVAILABLE, FAILED = "UNAVAILABLE", "FAILED"


@dataclass(frozen=True)
class Done:
    """What a process would leave behind: exit code, standard output, standard error."""

    returncode: int
    stdout: str
    stderr: str


def run_inside(home: Home, main: Callable[[Sequence[str]], int], *arguments: str) -> Done:
    """Call the `main` of a command with this home's environment variables; a traceback is the test's own failure."""
    out, err, variables = io.StringIO(), io.StringIO(), home.variables()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name in set(os.environ) - set(variables):
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        code = main(arguments)
    return Done(code, out.getvalue(), err.getvalue())


def aim(home: Home, url: str, ca_bundle: Path | None = None, hosts: str = "") -> Home:
    """Point the staging environment of a home at `url`, with `hosts` allowed too."""
    path = home.folder / "etl.toml"
    text, bundle = path.read_text(encoding="utf-8"), f'ca_bundle = "{ca_bundle}"\n' if ca_bundle else ""
    section = "[environments.staging]\n"
    for before, after in SHORT.items():
        assert before in text, before
        text = text.replace(before, after)
    changed = text.replace(section, section + bundle).replace('"qgp-staging.example.com"', f'"{hosts}"')
    path.write_text(changed, encoding="utf-8")
    home.environment |= {"QGP_STAGING_API_URL": url, "QGP_API_TOKEN": TOKEN}
    return home


def judged(home: Home, done: Done, outcome: str) -> dict[str, str]:
    """Return what each failed check found, after looking that the outcome is this and everything said is in lines."""
    said = json.loads(done.stdout)
    document = home.documents("contract_probe")[-1]
    failed = {check["name"]: check["found"] for check in document["checks"] if not check["passed"]}
    assert (done.returncode, said["outcome"], said["all_passed"]) == (3, outcome, False), done.stderr
    assert document["outcome"] == outcome
    assert said["summary"] == {"total": 4, "passed": 4 - len(failed), "failed": len(failed)}
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.isprintable()] == []
    assert [line.split()[1].rstrip(":") for line in lines if line.startswith("FAILED")] == list(failed)
    for line, follows in zip(lines, [*lines[1:], ""], strict=True):
        assert line.startswith(BEGINNINGS), line
        assert not line.startswith("FAILED ") or follows.startswith("  curl "), line
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return failed
