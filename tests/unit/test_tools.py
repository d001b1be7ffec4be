"""The tools around the code: hooks before a commit call what `make lint` calls, and a test that is named is there."""

import os
import re
import subprocess
from typing import Any

import yaml

from tests.support import ROOT


def commands(target: str) -> list[str]:
    """Return the commands of a make target; the environment counts as set up."""
    unset = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    make = ["make", "--dry-run", "--assume-old=.venv/.ready", target]
    return subprocess.run(make, cwd=ROOT, env=unset, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_hooks_call_what_make_lint_calls():
    written: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (local,) = written["repos"]
    assert local["repo"] == "local", "nothing is fetched"
    called: list[str] = []
    for hook in local["hooks"]:
        assert (hook["language"], hook["pass_filenames"]) == ("system", False), hook["id"]
        target = hook["entry"].removeprefix("make ")
        called += [hook["entry"]] if target == hook["entry"] else commands(target)
    assert called == commands("lint")


def test_every_test_is_in_a_folder():
    assert list((ROOT / "tests").glob("test_*.py")) == []


def test_every_path_of_a_test_that_is_named_exists():
    pages = [ROOT / "Makefile", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    named = {
        (page.name, path)
        for page in pages
        if page.name != "CHANGELOG.md"
        for path in re.findall(r"\btests/[\w/]+\.py", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 5
    assert {(page, path) for page, path in named if not (ROOT / path).exists()} == set()
