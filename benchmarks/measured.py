"""Runs one command and writes its seconds, peak memory and exit code as JSON.

A process of its own, and a small one: the maximum that the kernel keeps is over all children of a process, and a child
begins with the size of its parent.

Usage: python -I benchmarks/measured.py RESULT LOG COMMAND...
"""

import json
import os
import sys
import time

KILOBYTE = 1 if sys.platform == "darwin" else 1024  # what ru_maxrss counts in


def main(result: str, log: str, *command: str) -> None:
    """Run the command with its output in the file `log`; write `result`."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    begun = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - begun
    document = {
        "seconds": seconds,
        "peak_bytes": usage.ru_maxrss * KILOBYTE,
        "exit_code": os.waitstatus_to_exitcode(status),
    }
    with open(result, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs memory
        json.dump(document, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
