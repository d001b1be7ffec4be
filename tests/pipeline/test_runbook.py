"""The runbook's promise: every bash command in it works as typed, from the top of the page to the bottom."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.process import Sandbox
from tests.support import ROOT, cloned_project

BLOCK = re.compile(r"^ *```bash\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
# Where the machine has no jq: the same program through its Python binding.
JQ = """#!{python}
import json, jq, sys

pytestmark = pytest.mark.dbt
for value in jq.compile(sys.argv[1]).input_text(sys.stdin.read()).all():
    print(json.dumps(value, indent=2))
"""
SAMPLE = "data/etl_source/golden_sample_incidents.csv"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a clone with this environment as its .venv."""
    folder = cloned_project(tmp_path / "clone")
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder


def run_blocks(clone: Path, blocks: list[str], sandbox: Sandbox) -> list[str]:
    """Run the blocks in one shell, with `az` answering the sandbox's token; return what each printed."""
    bin_folder = clone.parent / "bin"
    bin_folder.mkdir()
    az = bin_folder / "az"
    az.write_text('#!/bin/sh\necho "$VAULT_TOKEN"\n', encoding="utf-8")
    az.chmod(0o755)
    if shutil.which("jq") is None:
        jq = bin_folder / "jq"
        jq.write_text(JQ.format(python=sys.executable), encoding="utf-8")
        jq.chmod(0o755)
    script = "set -euo pipefail\n" + "".join(f"echo '@@block'\n{block}\n" for block in blocks)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("QGP_", "ETL_", "DBT_"))}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=clone,
        env=inherited
        | {
            "PATH": f"{bin_folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "QGP_STAGING_API_URL": sandbox.url,
            "VAULT_TOKEN": sandbox.token(),
        },
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.split("@@block\n")[1:]


def values(text: str) -> list[Any]:
    """Return the JSON values that jq printed, one after the other."""
    found, decoder, position = [], json.JSONDecoder(), 0
    while position < len(text.rstrip()):
        position += len(text[position:]) - len(text[position:].lstrip())
        value, position = decoder.raw_decode(text, position)
        found.append(value)
    return found


def test_every_command_works_as_typed(clone: Path, sandbox: Sandbox):
    page = Path(os.environ.get("RUNBOOK_UNDER_TEST", ROOT / "RUNBOOK.md")).read_text(encoding="utf-8")
    blocks = [
        block.replace("your-token-here", '"$VAULT_TOKEN"').replace("/path/to/source.csv", SAMPLE)
        for block in BLOCK.findall(page)
    ]
    printed = dict(zip(blocks, run_blocks(clone, blocks, sandbox), strict=True))

    def output(of: str) -> str:
        return next(text for block, text in printed.items() if of in block)

    assert values(output("contract_probe.py staging")) == [
        {"outcome": "VERIFIED", "all_passed": True, "summary": {"total": 4, "passed": 4, "failed": 0}}
    ]
    assert values(output("'.summary'"))[0] == {
        "total_records": 5,
        "valid_records": 5,
        "invalid_records": 0,
        "warnings": 0,
        "success_rate": 100,
    }
    stats, *_ = values(output("jq 'length'"))
    assert stats["total_records"] == 5
    assert values(output("jq 'length'"))[-1] > 5
    review = values(output("'.stats'"))
    assert review[0]["imported_records"] == 5
    assert 5 in review
    assert review[-1]["created"] + review[-1]["skipped_exists"] == 5
    last = values(output("imported_records == 0").rpartition("nor updated\n")[2])
    assert last
    assert all(document["api_summary"]["created"] == 0 for document in last)
    assert last[-1]["api_summary"]["skipped_exists"] == 5
    assert len(sandbox.records()) == 10, "five of each entity"
