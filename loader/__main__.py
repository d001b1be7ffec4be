"""`python -m loader`: the pipeline command, and the commands on the audit trail."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module

from loader.early_dbt import EarlyDbt
from loader.trail import COMMANDS, run_command


def main(arguments: Sequence[str] | None = None, prog: str = "python -m loader") -> int:
    """Carry out one command line; return the exit code.

    Only the modules of its command are loaded: what the pipeline needs takes half a second. Where there is something to
    build, dbt loads its own meanwhile, which takes seconds.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and given[0] in COMMANDS:
        return run_command(given[0], given[1:], prog)
    builds = any(argument.startswith("--source") for argument in given)
    with EarlyDbt() if builds else nullcontext() as early:
        code: int = import_module("loader.cli").main(given, prog, early)
    return code


if __name__ == "__main__":
    sys.exit(main())
