"""Asks `explain` for a record, as a person and as a machine."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.support import Home


def asked(home: Home, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return home.run(["python", "-m", "loader", "explain", *arguments])


def story(home: Home, *arguments: str | Path) -> dict[str, Any]:
    done = asked(home, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
