"""dbt as the command runs it, quicker to start and to end: `python -m loader.start_dbt <descriptor of a socket>`.

It loads dbt, then reads from the socket what to do. Before it runs its first model dbt makes very many objects that all
stay. Python's collector would look through them again and again for what can go, and at the end Python would take them
apart one by one. Of the files that dbt writes about itself only `run_results.json` is written: nobody reads the
manifest here, and it is written twice.
"""

import atexit
import gc
import json
import os
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from loader.handover import announce

_OBJECTS_BEFORE_A_LOOK = 100_000
# https://docs.getdbt.com/reference/exit-codes
_PASSED, _FAILED, _NOT_RUN = 0, 1, 2
_MOST_BYTES, _MOST_DESCRIPTORS = 1 << 16, 64


def main() -> None:
    """Load dbt, run it as the socket says, and end the process with dbt's exit code."""
    ended = [_FAILED]
    # Registered first, so called last: when everybody else, the database above all, has closed what was open.
    atexit.register(_end, ended)
    gc.set_threshold(_OBJECTS_BEFORE_A_LOOK, 50, 100)
    for name in ("dbt.cli.main", "dbt.adapters.duckdb"):
        import_module(name)
    arguments = _told(socket.socket(fileno=int(sys.argv[1])))
    ended[0] = _NOT_RUN if arguments is None else run_dbt(arguments)


def run_dbt(arguments: Sequence[str]) -> int:
    """Run dbt with these arguments and return its exit code; the results are at `results_path()`."""
    done = import_module("dbt.cli.main").dbtRunner().invoke(["--no-write-json", *arguments])
    if done.exception:
        print(done.exception, file=sys.stderr)
        return _NOT_RUN
    done.result.write(str(results_path()))
    return _PASSED if done.success else _FAILED


def results_path() -> Path:
    """Return where the results of dbt's last command are; the working directory is the project's."""
    return Path(os.environ.get("DBT_TARGET_PATH") or "target") / "run_results.json"


def _told(teller: socket.socket) -> list[str] | None:
    """Return dbt's arguments, with the variables set and the spools announced; None when the teller has ended."""
    with teller:
        text, spools, _, _ = socket.recv_fds(teller, _MOST_BYTES, _MOST_DESCRIPTORS)
        while piece := teller.recv(_MOST_BYTES):
            text += piece
    if not text:
        return None
    told = json.loads(text)
    os.environ |= told["variables"] | announce(spools)
    return list(told["arguments"])


def _end(ended: list[int]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended[0])


if __name__ == "__main__":
    main()
