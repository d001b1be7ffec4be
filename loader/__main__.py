"""`python -m loader`: the pipeline command, and the commands on the audit trail."""

import sys
from collections.abc import Sequence
from importlib import import_module

from loader.interrupt import end_on_signals, ended


def main(arguments: Sequence[str] | None = None, prog: str = "python -m loader") -> int:
    """Carry out one command line; return the exit code. An expected failure is one line on standard error.

    Only the modules of its command are loaded, and after signals are: what the pipeline needs takes half a second.
    """
    end_on_signals()
    commands, guarded = import_module("loader.commands").COMMANDS, import_module("loader.command").guarded
    given = sys.argv[1:] if arguments is None else list(arguments)
    module = "loader.cli"
    if given and given[0] in commands:
        name, *given = given
        module, prog = commands[name].module, f"{prog} {name}"
    command = import_module(module)
    return int(guarded(lambda: command.carry_out(command.parser(prog).parse_args(given))))


if __name__ == "__main__":
    sys.exit(ended(main()))
