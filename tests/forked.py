"""The pipeline command in a process that has its modules loaded already, so that fifty of them can be killed."""

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from loader.cli import main

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["loader.cli"])


def started(variables: dict[str, str], log: Path, *arguments: str) -> ForkServerProcess:
    """Start `python -m loader ...` with these variables alone; what it prints is appended to `log`."""
    process = _CONTEXT.Process(target=_run, args=(variables, str(log), arguments))
    process.start()
    return process


def _run(variables: dict[str, str], log: str, arguments: tuple[str, ...]) -> None:
    os.environ.clear()
    os.environ.update(variables)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.exit(main(arguments))
