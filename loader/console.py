"""What a person sees: a progress bar on a terminal, plain lines otherwise; nothing but the summary with `--json`."""

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console as RichConsole

from loader.errors import StoppedEarly
from loader.progress import Advance, Meter, bar, lines


class _Rich(RichConsole):
    def on_broken_pipe(self) -> None:
        """Go on in silence."""
        silence(sys.stdout)


class Console:
    """Writes for people to standard output; with `as_json`, only `summary` writes there."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._rich = _Rich(highlight=False, markup=False, soft_wrap=True)

    def line(self, text: str = "") -> None:
        """Write one line; control characters of the data are made visible."""
        if not self._as_json:
            self._print(printable(text))

    def _print(self, text: str) -> None:
        try:
            self._rich.print(text)
        except OSError:
            silence(sys.stdout)

    def paragraph(self, text: str, indent: int) -> None:
        """Write a long text: wrapped to the width of a terminal, one line otherwise."""
        margin = " " * indent
        if self._rich.is_terminal:
            width = max(self._rich.width, 40)
            text = textwrap.fill(
                printable(text), width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
            )
            self.line(text)
        else:
            self.line(margin + text)

    def notice(self, text: str) -> None:
        """Write one line about waiting or the like; it never mixes with the JSON."""
        try:
            print(printable(text), file=sys.stderr, flush=True)
        except OSError:
            silence(sys.stderr)

    def summary(self, summary: dict[str, Any]) -> None:
        """Write the summary object alone, where JSON was asked for.

        Raises:
            StoppedEarly: it cannot be written; the run is accounted for.

        """
        if not self._as_json:
            return
        try:
            print(json.dumps(summary, indent=2, default=str), flush=True)
        except OSError as error:
            silence(sys.stdout)
            raise StoppedEarly(
                f"standard output cannot be written ({error.strerror}); the run is in audit and in its files"
            ) from error

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show that something is under way: a spinner on a terminal, one line otherwise."""
        if self._is_live():
            with self._rich.status(text):
                yield
        else:
            self.line(text)
            yield

    @contextmanager
    def progress(self, text: str, total: int, done: int = 0, detail: Callable[[], str] = str) -> Iterator[Advance]:
        """Yield a function to call with the latest counts after each answer; `done` records are settled already.

        `detail` says, at any time, where the time goes.
        """
        meter = Meter(total, done, detail)
        shown = bar(self._rich, text, total, meter) if self._is_live() else lines(self.line, text, meter)
        with shown as advance:
            yield advance

    def _is_live(self) -> bool:
        return self._rich.is_terminal and not self._as_json


class Page(Console):
    """Of a command whose only product is what it writes: where that cannot be written, the command has failed."""

    def _print(self, text: str) -> None:
        try:
            self._rich.print(text)
        except OSError as error:
            silence(sys.stdout)
            raise StoppedEarly(
                f"standard output cannot be written ({error.strerror}); free its disk, then run the same command again"
            ) from error


def silence(stream: TextIO) -> None:
    """Let what is still to be written go nowhere: nobody reads it any more, or the disk of its log is full.

    A run does not end for that: `audit` has all of it.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def printable(text: str) -> str:
    """Return the text with control characters, which could steer a terminal, escaped."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)
