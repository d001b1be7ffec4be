"""What a person sees: a progress bar on a terminal, plain lines otherwise; nothing but the summary with `--json`."""

import json
import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from loader.errors import StoppedEarly

LINE_SECONDS = 5.0


class Meter:
    """How far work has come: `done` of `total`, with counts in words; `detail` says where the time goes."""

    def __init__(self, total: int, done: int, detail: Callable[[], str]) -> None:
        self.done = self._before = done
        self._total = total
        self._answers = 0
        self._answers_left = total - done
        self._counts = ""
        self._detail = detail
        self._begun = time.monotonic()

    def advance(self, counts: str, settled: int = 1, answers_left: int | None = None) -> None:
        """Note an answer, the records that it settles, and the latest counts.

        `answers_left` is how many answers the rest takes, where it is not one for each record.
        """
        self.done += settled
        self._answers += 1
        self._answers_left = self._total - self.done if answers_left is None else answers_left
        self._counts = counts

    def words(self) -> str:
        """Return the counts, the rate, where the time goes, and the time left."""
        seconds = max(time.monotonic() - self._begun, 1e-3)
        settled = self.done - self._before
        rate = f"{settled / seconds:.1f}/s" if settled else ""
        left = ""
        if self._answers and self.done < self._total:
            left = f"{duration(self._answers_left * seconds / self._answers)} left"
        return ", ".join(part for part in (self._counts, rate, self._detail(), left) if part)

    def line(self) -> str:
        """Return the state as one line."""
        return f"{self.done}/{self._total} {self.words()}"


class _Bar(Progress):
    """A bar that asks the meter at every refresh: time passes without any record being settled."""

    def __init__(self, console: RichConsole, text: str, total: int, meter: Meter) -> None:
        self._meter = meter
        words = TextColumn("{task.fields[words]}", markup=False)
        super().__init__(SpinnerColumn(), TextColumn(text), BarColumn(), MofNCompleteColumn(), words, console=console)
        self._task = self.add_task(text, total=total, words="")

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.task_ids:
            self.update(self._task, completed=self._meter.done, words=self._meter.words())
        return super().get_renderables()


class _Busy:
    """What is under way, how far it is and for how long, at every refresh."""

    def __init__(self, text: str, detail: Callable[[], str]) -> None:
        self._text, self._detail, self._begun = text, detail, time.monotonic()

    def __str__(self) -> str:
        far = self._detail()
        return f"{self._text}: {far}, {time.monotonic() - self._begun:.0f} s" if far else self._text

    def __rich__(self) -> str:
        return str(self)


@contextmanager
def _lines(write: Callable[[str], None], line: Callable[[], str]) -> Iterator[None]:
    """Write a line every few seconds, whether or not anything has happened."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(LINE_SECONDS):
            write(line())

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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
            width = max(self._rich.width, 40) - indent
            text = textwrap.fill(printable(text), width, break_on_hyphens=False)
            self.line(textwrap.indent(text, margin))
        else:
            self.line(margin + text)

    def notice(self, text: str) -> None:
        """Write one line about waiting or the like; it never mixes with the JSON."""
        try:
            print(printable(text), file=sys.stderr, flush=True)
        except OSError:
            silence(sys.stderr)

    def summary(self, summary: dict[str, Any]) -> None:
        """Write the summary object alone, where JSON was asked for; raises StoppedEarly where it cannot be written."""
        if not self._as_json:
            return
        try:
            print(json.dumps(summary, indent=2, default=str), flush=True)
        except OSError as error:
            raise unwritten(error, "the run is in audit and in its files") from error

    @contextmanager
    def busy(self, text: str, detail: Callable[[], str] = str) -> Iterator[None]:
        """Show that something is under way, how far (`detail`) and the seconds: beside a spinner, or in lines."""
        busy = _Busy(text, detail)
        if not self._is_live():
            self.line(text)
        with self._rich.status(busy) if self._is_live() else _lines(self.line, lambda: str(busy)):
            yield

    @contextmanager
    def progress(self, text: str, total: int, done: int = 0, detail: Callable[[], str] = str) -> Iterator[Meter]:
        """Show how far work has come; yield the meter, to be told of each answer; `done` records are settled already.

        `detail` says, at any time, where the time goes.
        """
        meter = Meter(total, done, detail)
        if self._is_live():
            with _Bar(self._rich, text, total, meter):
                yield meter
            return
        try:
            with _lines(self.line, lambda: f"{text} {meter.line()}"):
                yield meter
        finally:
            self.line(f"{text} {meter.line()}")

    def _is_live(self) -> bool:
        return self._rich.is_terminal and not self._as_json


class Page(Console):
    """Of a command whose only product is what it writes: where that cannot be written, the command has failed."""

    def _print(self, text: str) -> None:
        try:
            self._rich.print(text)
        except OSError as error:
            raise unwritten(error, "free its disk, then run the same command again") from error


def silence(stream: TextIO) -> None:
    """Let what is still to be written go nowhere: nobody reads it any more, or the disk of its log is full.

    A run does not end for that: `audit` has all of it.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def unwritten(error: OSError, then: str) -> StoppedEarly:
    """Silence standard output; return the failure of a command whose product it was to take, with what to do then."""
    silence(sys.stdout)
    return StoppedEarly(f"standard output cannot be written ({error.strerror}); {then}")


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
    for unit, name, least in ((86_400, "day", 2), (3600, "hour", 2), (60, "minute", 1)):
        if whole >= least * unit:
            return counted(whole // unit, name)
    return counted(whole, "second")
