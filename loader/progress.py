"""Progress of long work: a bar on a terminal, a line every few seconds otherwise."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

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

LINE_SECONDS = 5.0


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
            left = f"{_duration(self._answers_left * seconds / self._answers)} left"
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


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
