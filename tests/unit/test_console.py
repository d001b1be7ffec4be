"""What a person at a terminal sees while work is under way."""

import re

import pytest

from loader.console import Console


def test_a_bar_says_what_the_meter_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    with Console().progress("posting", 5, 2, lambda: "API 3 % [of it]") as meter:
        meter.advance("created 3")
    last = re.sub(r"\x1b\[[\d;?]*\w", "", capsys.readouterr().out).rpartition("posting")[2]
    assert re.search(r"3/5 created 3, [\d.]+/s, API 3 % \[of it\], \d+ seconds left", last)
