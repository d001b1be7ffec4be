"""The offline form: a saved document is compared with the card, without network, token, database or settings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from probe.cli import main
from tests.probe.documents import Change, as_3_0, as_large, changed, document, move_path, schemas, setting
from tests.support import Home

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document()), encoding="utf-8")
    return path


def lose(of: object) -> None:
    schemas(of)["IncidentType"]["enum"].remove("quality")


def test_a_document_that_takes_what_the_card_sends(empty_home: Home, saved: Path):
    done = empty_home.probe("--openapi", str(saved), ETL_CONFIG="/nowhere", ETL_ENVIRONMENT="staging")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    found = printed.pop("findings")
    assert printed == {
        "outcome": "VERIFIED", "all_passed": True, "summary": {"total": 1, "passed": 1, "failed": 0},
    }  # fmt: skip
    assert {finding["severity"] for finding in found} == {"notice"}
    assert done.stderr.splitlines()[0] == "passed create_contract: no breaking difference"
    assert not empty_home.output.exists()
    assert not empty_home.database.exists()


@pytest.mark.parametrize(
    ("change", "code", "kind"),
    [
        (lose, 3, "enum_value_lost"),
        (move_path, 3, "path_moved"),
        (as_3_0, 0, None),
        (as_large, 0, None),
        (setting("note", {"type": "string"}), 0, None),
    ],
)
def test_differences(saved: Path, capsys: Captured, change: Change, code: int, kind: str | None):
    saved.write_text(json.dumps(changed(change)), encoding="utf-8")
    assert main(["--openapi", str(saved)]) == code
    printed = json.loads(capsys.readouterr().out)["findings"]
    breaking = [found["kind"] for found in printed if found["severity"] == "breaking"]
    assert breaking == ([kind] if kind else [])


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", "<html>", '{"openapi": "3.1.0", "paths": {"/api/v1/inci', "[" * 50_000, "\x00\xff"],
    ids=range(8),
)
def test_a_document_that_cannot_be_compared_is_never_a_pass(saved: Path, capsys: Captured, text: str):
    saved.write_bytes(text.encode("latin-1"))
    assert main(["--openapi", str(saved)]) == 3
    out, err = capsys.readouterr()
    assert (json.loads(out)["outcome"], err.count("\n")) == ("FAILED", 1)
    assert err.startswith("FAILED create_contract: the document cannot be compared")


def test_an_output_that_takes_nothing_is_one_line(empty_home: Home, saved: Path):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "probe", "--openapi", str(saved)],
            env=empty_home.variables(), stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith("error: standard output cannot be written (No space left on device)")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "device", "large", "nul", "line", "both"])
def test_what_is_no_file_is_refused(tmp_path: Path, capsys: Captured, kind: str):
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate((32 << 20) + 1)
    named = {"device": "/dev/zero", "nul": "a\0b", "line": "a\nb"}.get(kind, str(path))
    assert main([*(["staging"] if kind == "both" else []), "--openapi", named]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: ")
