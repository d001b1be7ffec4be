"""What a person types: the commands that messages give to copy, and paths in them."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def command_line(row: Mapping[str, Any], mode: str, source: str | Path, flags: str = "") -> str:
    """Return the pipeline command for `source`; `row` has its `environment` and `entity_type`, as `fct_runs`."""
    given = f"--source {shlex.quote(shown(source))}{flags} --entity-type {row['entity_type']}"
    return f"python scripts/etl/pipeline.py --environment {row['environment']} {mode} {given}"


def shown(path: str | Path) -> str:
    """Return the path as a person would type it here: relative when it is below the current folder."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
