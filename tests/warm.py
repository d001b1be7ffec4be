"""Runs a command in a process of its own that has its modules loaded already: half a second less, hundreds of times."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from loader.commands import COMMANDS

# What `python -m <name>` runs. No process below has opened a database or started a thread when it is forked.
MAINS = {"loader": "loader.__main__", "probe": "probe.cli"}
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["loader.cli", *(command.module for command in COMMANDS.values()), *MAINS.values()])
# Variables of these kinds are read while a command runs; others may be read by Python as it starts.
_READ_LATE = ("ETL_", "QGP_", "DBT_", "PATH")


def fits(command: Sequence[str], changed: Mapping[str, str]) -> bool:
    """Tell whether a command can be run here, with these environment variables changed."""
    is_ours = command[0] in ("python", sys.executable) and command[1] == "-m" and command[2] in MAINS
    return is_ours and all(name.startswith(_READ_LATE) for name in changed)


def start(name: str, arguments: Sequence[str], variables: Mapping[str, str], out: Path, err: Path) -> ForkServerProcess:
    """Start `python -m <name> ...` with these variables alone; what it prints is appended to the files."""
    process = _CONTEXT.Process(target=_main, args=(name, list(arguments), dict(variables), str(out), str(err)))
    process.start()
    return process


def run(command: Sequence[str], variables: Mapping[str, str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command that `fits` to its end, as `subprocess.run` does."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = start(command[2], command[3:], variables, out, err)
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(command, seconds)
        return subprocess.CompletedProcess(command, process.exitcode, *(file.read_text("utf-8") for file in (out, err)))


def _main(name: str, arguments: list[str], variables: dict[str, str], out: str, err: str) -> None:
    os.environ.clear()
    os.environ.update(variables)
    for number, path in enumerate((out, err), 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    sys.exit(import_module(MAINS[name]).main(arguments))
