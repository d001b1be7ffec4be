"""`python -m loader`: the pipeline command, and the commands on the audit trail."""

import sys
from collections.abc import Sequence
from importlib import import_module

from loader.command import guarded
from loader.commands import COMMANDS


def main(arguments: Sequence[str] | None = None, prog: str = "python -m loader") -> int:
    """Carry out one command line; return the exit code. An expected failure is one line on standard error.

    Only the modules of its command are loaded: what the pipeline needs takes half a second.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    module = "loader.cli"
    if given and given[0] in COMMANDS:
        name, *given = given
        module, prog = COMMANDS[name].module, f"{prog} {name}"
    command = import_module(module)
    return guarded(lambda: command.carry_out(command.parser(prog).parse_args(given)))


if __name__ == "__main__":
    sys.exit(main())
