"""What a person types: the commands that messages give to copy, and paths in them."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loader.dialect import Dialect


def command_line(row: Mapping[str, Any], mode: str, source: str | Path, flags: str = "") -> str:
    """Return the pipeline command for `source`; `row` has its `environment` and `entity_type`, as `fct_runs`."""
    given = f"--source {shlex.quote(shown(source))}{flags} --entity-type {row['entity_type']}"
    return f"python scripts/etl/pipeline.py --environment {row['environment']} {mode} {given}"


def dialect_flags(dialect: Dialect) -> str:
    """Return the flags that name a dialect; none for plain CSV in UTF-8."""
    if dialect == Dialect():
        return ""
    encoding = f" --encoding {dialect.encoding}" if dialect.encoding else ""
    return f" --delimiter {shlex.quote(dialect.delimiter)}{encoding}"


def rejected_flags(dialect: Dialect) -> str:
    """Return the flags for a file of rejected records of a source in this dialect.

    It is comma-separated UTF-8, whatever the source and the environment say.
    """
    return "" if dialect == Dialect() else dialect_flags(Dialect(encoding="utf-8"))


def again(run: Mapping[str, Any], mode: str, rejected: str | None = None) -> str:
    """Return the pipeline command for what a run has read, or for its file of rejected records.

    `run` is one of `read_runs`.
    """
    environment, file = run["environment"] or "staging", rejected or run["source_file"]
    if not file:
        return f"python -m loader --environment {environment} {mode}"
    dialect = Dialect(run.get("delimiter") or ",", run.get("encoding") or None)
    flags = rejected_flags(dialect) if rejected else dialect_flags(dialect)
    return command_line({**run, "environment": environment}, mode, file, flags)


def platform_team(reason: str | None) -> str | None:
    """Return why a run stopped, where nothing helps but to ask the platform team: their words come before any command.

    The same command stops again until they have done it.
    """
    return reason if reason and "ask the platform team" in reason else None


def shown(path: str | Path) -> str:
    """Return the path as a person would type it here: relative when it is below the current folder."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
