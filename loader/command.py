"""What the command lines of the loader and of the probe share."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from loader.console import printable
from loader.errors import EtlError, Refused
from loader.modes import private_umask


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one line, with exit code 2; its flags are not abbreviated."""

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raise Refused in place of printing the usage."""
        raise Refused(f"{message}; see {self.prog} --help")


def entity_option(command: argparse.ArgumentParser, known: Sequence[str]) -> None:
    """Add `--entity-type`; with a single card, that is the default."""
    command.add_argument(
        "--entity-type",
        metavar="NAME",
        required=len(known) != 1,
        default=known[0] if len(known) == 1 else None,
        help=f"kind of record: {', '.join(known)} (default: %(default)s)",
    )


def guarded(command: Callable[[], int]) -> int:
    """Return the command's exit code; an expected failure is one line on standard error and its own exit code.

    Meanwhile what is written is for its owner alone.
    """
    umask = private_umask()
    try:
        return command()
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again", file=sys.stderr)
        return 128 + signal.SIGINT
    except EtlError as error:
        print("error: " + printable(" ".join(str(error).split())), file=sys.stderr)
        return error.exit_code
    finally:
        os.umask(umask)
