"""dbt as the command runs it: `python -m loader.run.start_dbt RESULTS ALIVE ARGUMENTS...`.

`RESULTS` is the descriptor to which it writes JSON: a line when a node begins, and last what it did. `ALIVE` is that of
a pipe that ends with whoever started it.

It is quicker to start and to end than dbt's own command. Before it runs its first model dbt makes very many objects
that all stay. Python's collector would look through them again and again for what can go, and at the end Python would
take them apart one by one. dbt writes no JSON about itself, which nobody reads here.
"""

import atexit
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TextIO

_OBJECTS_BEFORE_A_LOOK = 100_000
# https://docs.getdbt.com/reference/exit-codes
_PASSED, _FAILED, _NOT_RUN = 0, 1, 2


def main() -> None:
    """Run dbt and end the process with its exit code; end at once when whoever started it has ended."""
    results, alive = int(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=_end_with, args=[alive], daemon=True).start()
    ended = [_FAILED]
    # Registered first, so called last: when everybody else, the database above all, has closed what was open.
    atexit.register(_end, ended)
    gc.set_threshold(_OBJECTS_BEFORE_A_LOOK, 50, 100)
    ended[0] = run_dbt(sys.argv[3:], results)


def run_dbt(arguments: Sequence[str], results: int) -> int:
    """Run dbt with these arguments, write to the descriptor `results` as said above, and return its exit code."""
    with os.fdopen(results, "w", encoding="utf-8", buffering=1) as file:
        runner = import_module("dbt.cli.main").dbtRunner(callbacks=[lambda event: _tell(event, file)])
        done = runner.invoke(["--no-write-json", *arguments])
        if done.exception:
            print(done.exception, file=sys.stderr)
            return _NOT_RUN
        file.write(json.dumps(_document(done)))
    return _PASSED if done.success else _FAILED


def _tell(event: Any, file: TextIO) -> None:
    """Write a line when a node begins: its stage, its number and how many there are."""
    if event.info.name == "LogStartLine":
        node = event.data.node_info
        stage = "testing" if node.resource_type == "test" else node.node_relation.schema
        file.write(json.dumps({"stage": stage, "index": event.data.index, "total": event.data.total}) + "\n")


def _document(done: Any) -> dict[str, Any]:
    nodes = [
        {
            "unique_id": result.node.unique_id,
            "status": str(result.status),
            "message": result.message,
            "relation": getattr(result.node, "relation_name", None),
        }
        for result in done.result.results
    ]
    return {"invocation_id": import_module("dbt_common.invocation").get_invocation_id(), "nodes": nodes}


def _end_with(alive: int) -> None:
    """Wait for the end of the other side of a pipe, which nobody writes to; then end this process."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _end(ended: list[int]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended[0])


if __name__ == "__main__":
    main()
