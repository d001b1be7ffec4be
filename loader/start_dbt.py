"""dbt's own command line, quicker to start and to end: `python -m loader.start_dbt`, with dbt's arguments.

Before it runs its first model dbt makes very many objects that all stay. Python's collector would look through them
again and again for what can go, and at the end Python would take them apart one by one.
"""

import atexit
import gc
import os
import sys
from importlib import import_module

_OBJECTS_BEFORE_A_LOOK = 100_000


def main() -> None:
    """Run dbt and end the process with its exit code."""
    ended = [1]
    # Registered first, so called last: when everybody else, the database above all, has closed what was open.
    atexit.register(_end, ended)
    gc.set_threshold(_OBJECTS_BEFORE_A_LOOK, 50, 100)
    try:
        import_module("dbt.cli.main").cli(prog_name="dbt")
    except SystemExit as end:
        ended[0] = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise


def _end(ended: list[int]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended[0])


if __name__ == "__main__":
    main()
