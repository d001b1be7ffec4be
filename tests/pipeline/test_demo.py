"""`make demo` is the README's promise: it runs to its end, and the pages show what it prints."""

import re
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, new_home

pytestmark = pytest.mark.dbt

# What is another in each run.
CHANGING = {
    r"\d{8}T\d{6}Z-[0-9a-f]{6}": "RUN",
    r"\b[0-9a-f]{64}\b": "HASH",
    r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?": "TIME",
    r"\b\d{2}:\d{2}:\d{2}\.\d+": "TIME",
    r"127\.0\.0\.1:\d+": "ADDRESS",
    r"\w+@[\w.-]+": "OPERATOR",
    r"\(?(API|our own work|limiter) \d+ %(, )?(API|our own work|limiter)? ?(\d+ %)?\)?": "SHARES",
    r"\d+(\.\d+)? (s|ms|MB|minutes)\b": "MUCH",
    r"\d+(\.\d+)?/s": "RATE",
    r"at most \d+ at once": "at most N at once",
    r"\d+ (rows|invocations)": "MANY",
}


def steady(text: str, folder: str) -> list[str]:
    """Return the lines of the demo without what is another in each run; progress comes as often as it comes."""
    text = text.replace(folder, "data/demo")
    for pattern, word in CHANGING.items():
        text = re.sub(pattern, word, text)
    return [
        line.rstrip()
        for line in text.splitlines()
        if line.strip() and not line.startswith(("posting to ", "dbt build of "))
    ]


def test_the_demo_prints_what_the_pages_show(workplace: Path):
    home = new_home(workplace / "demo")
    done = home.run([sys.executable, ROOT / "scripts" / "demo.py", "--folder", home.folder / "place"])
    assert done.returncode == 0, done.stdout + done.stderr
    printed = steady(done.stderr + done.stdout, str(home.folder / "place"))
    page = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    assert sorted(steady(page, "data/demo")) == sorted(printed)
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("all of it:")[1].split("```")[1]
    shown = steady(readme.removeprefix("text"), "data/demo")
    assert [line for line in shown if line not in printed] == []
