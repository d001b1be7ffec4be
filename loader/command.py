"""What the command lines of the loader and of the probe share."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from loader.config import ENTITY_VARIABLE
from loader.console import printable
from loader.errors import EtlError, Interrupted, Refused
from loader.interrupt import ENDING
from loader.storage.files import private_umask


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

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Return what was given; raises Refused for no command line of this command, and for bytes that are no text.

        Nothing could keep such bytes. The name of a file that is there may have them, for whoever opens it to judge.
        """
        options = super().parse_args(args, namespace)
        for value in vars(options).values():
            is_text = not any("\ud800" <= char <= "\udfff" for char in str(value))
            if not is_text and not (isinstance(value, Path) and os.access(value, os.F_OK)):
                escaped = repr(os.fsencode(value))[1:]
                raise Refused(f"the argument {escaped} is not UTF-8; type it, or name the file, in UTF-8")
        return options

    def error(self, message: str) -> NoReturn:
        """Raise Refused in place of printing the usage."""
        raise Refused(f"{message}; see {self.prog} --help")


def entity_option(command: argparse.ArgumentParser, known: Sequence[str]) -> None:
    """Add `--entity-type`, which is asked for unless there is a single card."""
    only = known[0] if len(known) == 1 else ""
    command.add_argument(
        "--entity-type",
        metavar="NAME",
        default=os.environ.get(ENTITY_VARIABLE) or only,
        help=f"kind of record: {', '.join(known)} (default: ${ENTITY_VARIABLE}{only and f', or {only}'})",
    )


def asked_entity(options: argparse.Namespace, known: Sequence[str]) -> str:
    """Return the entity that was asked for.

    Raises:
        Refused: none was, and there are several.

    """
    if options.entity_type:
        return str(options.entity_type)
    raise Refused(f"no entity type; add --entity-type with one of: {', '.join(known)}, or export {ENTITY_VARIABLE}")


def guarded(command: Callable[[], int]) -> int:
    """Return the command's exit code; an expected failure is one line on standard error and its own exit code.

    Meanwhile what is written is for its owner alone.
    """
    umask, handlers = private_umask(), {number: signal.signal(number, _interrupt) for number in ENDING}
    try:
        return command()
    except EtlError as error:
        return tell(error)
    finally:
        os.umask(umask)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


def tell(error: EtlError) -> int:
    """Write an expected failure as one line on standard error, and below it what it brings to paste.

    Returns its exit code.
    """
    print("error: " + printable(" ".join(str(error).split())), file=sys.stderr)
    for note in getattr(error, "__notes__", ()):
        print(printable(note), file=sys.stderr)
    return error.exit_code
