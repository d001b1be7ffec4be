"""Ctrl-C and SIGTERM while a command is loaded: one line and the exit code of a signal, from the first moment."""

import os
import signal

ENDING = (signal.SIGINT, signal.SIGTERM)


def end_on_signals() -> None:
    """Let a signal end this process at once; call it before the modules of a command are imported."""
    for number in ENDING:
        signal.signal(number, _end)


def ended(exit_code: int) -> int:
    """Return the exit code of a command that is done: a signal while Python ends must not change it any more."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    return exit_code


def _end(number: int, _frame: object) -> None:
    # Nothing has begun, and an exception would go through whatever is imported just then.
    os.write(2, f"error: interrupted by signal {number}; run the same command again\n".encode())
    os._exit(128 + number)
