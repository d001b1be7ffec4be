"""dbt as the command runs it, quicker to start and to end: `python -m loader.start_dbt`, with dbt's arguments.

Before it runs its first model dbt makes very many objects that all stay. Python's collector would look through them
again and again for what can go, and at the end Python would take them apart one by one. Of the files that dbt writes
about itself only `run_results.json` is written: nobody reads the manifest here, and it is written twice.
"""

import atexit
import gc
import os
import sys
from importlib import import_module
from pathlib import Path

_OBJECTS_BEFORE_A_LOOK = 100_000
# https://docs.getdbt.com/reference/exit-codes
_PASSED, _FAILED, _NOT_RUN = 0, 1, 2


def main() -> None:
    """Run dbt and end the process with dbt's exit code."""
    ended = [_FAILED]
    # Registered first, so called last: when everybody else, the database above all, has closed what was open.
    atexit.register(_end, ended)
    gc.set_threshold(_OBJECTS_BEFORE_A_LOOK, 50, 100)
    done = import_module("dbt.cli.main").dbtRunner().invoke(["--no-write-json", *sys.argv[1:]])
    if done.exception:
        print(done.exception, file=sys.stderr)
        ended[0] = _NOT_RUN
    else:
        done.result.write(str(results_path()))
        ended[0] = _PASSED if done.success else _FAILED


def results_path() -> Path:
    """Return where the results of dbt's last command are; the working directory is the project's."""
    return Path(os.environ.get("DBT_TARGET_PATH") or "target") / "run_results.json"


def _end(ended: list[int]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended[0])


if __name__ == "__main__":
    main()
