"""What a person sees: a progress bar on a terminal, plain lines otherwise; nothing but the summary with `--json`."""

import json
import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
)
from rich.text import Text

from loader.errors import StoppedEarly

LINE_SECONDS = 5.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class Advance(Protocol):
    """Notes an answer, the records that it settles, and the latest counts.

    `answers_left` is how many answers the rest takes, where it is not one for each record.
    """

    def __call__(self, counts: str, settled: int = 1, answers_left: int | None = None) -> None:
        """Note it."""


class Meter:
    """How far work has come: `done` of `total`, with counts in words; `detail` says where the time goes."""

    def __init__(self, total: int, done: int, detail: Callable[[], str]) -> None:
        self._total = total
        self._done = self._before = done
        self._answers = 0
        self._answers_left = total - done
        self._counts = ""
        self._detail = detail
        self._begun = time.monotonic()

    @property
    def done(self) -> int:
        """Return how much is settled."""
        return self._done

    def advance(self, counts: str, settled: int = 1, answers_left: int | None = None) -> None:
        """Note an answer, as `Advance` says."""
        self._done += settled
        self._answers += 1
        self._answers_left = self._total - self._done if answers_left is None else answers_left
        self._counts = counts

    def words(self) -> str:
        """Return the counts, the rate, where the time goes, and the time left."""
        seconds = max(time.monotonic() - self._begun, 1e-3)
        settled = self._done - self._before
        rate = f"{settled / seconds:.1f}/s" if settled else ""
        left = ""
        if self._answers and self._done < self._total:
            left = f"{duration(self._answers_left * seconds / self._answers)} left"
        return ", ".join(part for part in (self._counts, rate, self._detail(), left) if part)

    def line(self) -> str:
        """Return the state as one line."""
        return f"{self._done}/{self._total} {self.words()}"


class _Words(ProgressColumn):
    """The words of the meter, worked out anew at every refresh: a wait goes on without any record being settled."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def render(self, _task: Task) -> Text:
        return Text(self._meter.words())


@contextmanager
def bar(console: RichConsole, text: str, total: int, meter: Meter) -> Iterator[Advance]:
    """Show a bar; yield the function to call after each answer."""
    columns = (
        SpinnerColumn(),
        TextColumn(text),
        BarColumn(),
        MofNCompleteColumn(),
        _Words(meter),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(text, total=total, completed=meter.done)

        def advance(counts: str, settled: int = 1, answers_left: int | None = None) -> None:
            meter.advance(counts, settled, answers_left)
            progress.update(task, completed=meter.done)

        yield advance


@contextmanager
def lines(write: Callable[[str], None], text: str, meter: Meter) -> Iterator[Advance]:
    """Write a line every few seconds, whether or not a record is settled, and one at the end; yield as `bar` does."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(LINE_SECONDS):
            write(f"{text} {meter.line()}")

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield meter.advance
    finally:
        ended.set()
        thread.join()
        write(f"{text} {meter.line()}")


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


def printable(text: str, kept: str = "\n") -> str:
    """Return the text with control characters, which could steer a terminal, escaped, but for those that are `kept`."""
    return "".join(char if char.isprintable() or char in kept else f"\\x{ord(char):02x}" for char in text)


def shown(path: str | Path) -> str:
    """Return the path as a person would type it here: relative when it is below the current folder."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as `1 record` and `2 records`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time span in words, in its largest unit, rounded down: `12 minutes`."""
    whole = int(abs(seconds))
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if whole >= 2 * unit or (whole >= unit and name == "minute"):
            return counted(whole // unit, name)
    return counted(whole, "second")
