"""Progress of long work: a bar on a terminal, a line every few seconds otherwise."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LINE_SECONDS = 5.0


class Meter:
    """How far work has come: `done` of `total`, with counts in words; `detail` says where the time goes."""

    def __init__(self, total: int, done: int, detail: Callable[[], str]) -> None:
        self._total = total
        self._done = self._before = done
        self._counts = ""
        self._detail = detail
        self._begun = time.monotonic()

    @property
    def done(self) -> int:
        """Return how much is settled."""
        return self._done

    def advance(self, counts: str) -> None:
        """Note one more, and the latest counts."""
        self._done += 1
        self._counts = counts

    def words(self) -> str:
        """Return the counts, the rate, and where the time goes."""
        rate = f"{self._rate():.1f}/s" if self._done > self._before else ""
        return ", ".join(part for part in (self._counts, rate, self._detail()) if part)

    def line(self) -> str:
        """Return the state as one line."""
        rate = self._rate()
        left = f", {_duration((self._total - self._done) / rate)} left" if rate and self._done < self._total else ""
        return f"{self._done}/{self._total} {self.words()}{left}"

    def _rate(self) -> float:
        return (self._done - self._before) / max(time.monotonic() - self._begun, 1e-3)


class _Words(ProgressColumn):
    """The words of the meter, worked out anew at every refresh: a wait goes on without any record being settled."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def render(self, _task: Task) -> Text:
        return Text(self._meter.words())


@contextmanager
def bar(console: RichConsole, text: str, total: int, meter: Meter) -> Iterator[Callable[[str], None]]:
    """Show a bar; yield the function to call after each record with the latest counts."""
    columns = (
        SpinnerColumn(),
        TextColumn(text),
        BarColumn(),
        MofNCompleteColumn(),
        _Words(meter),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(text, total=total, completed=meter.done)

        def advance(counts: str) -> None:
            meter.advance(counts)
            progress.update(task, advance=1)

        yield advance


@contextmanager
def lines(write: Callable[[str], None], text: str, meter: Meter) -> Iterator[Callable[[str], None]]:
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
