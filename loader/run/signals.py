"""Ctrl-C and SIGTERM: they end a run at once, or, while it sends, after the requests that are under way."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from loader.delivery.pace import Pace
from loader.errors import Interrupted
from loader.interrupt import ENDING


class Signals:
    """The signals of a run; `first` is the number of the first one, None while there was none."""

    def __init__(self) -> None:
        self.first: int | None = None

    @contextmanager
    def handled(self, pace: Pace | None = None) -> Iterator[None]:
        """Let a signal end the run at once; with a pace, let the first one stop that, and the next end the run."""

        def handle(number: int, _frame: FrameType | None) -> None:
            is_first, self.first = self.first is None, self.first or number
            if not pace or not is_first:
                raise Interrupted(number)
            pace.stop(f"signal {number}")

        before = {number: signal.signal(number, handle) for number in ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
