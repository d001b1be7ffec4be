"""A signal is handled between any two lines of what it interrupts: it must not wait for a lock of its own thread."""

import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from loader.config import load_settings
from loader.delivery import pace as pacing
from loader.delivery.pace import Pace
from loader.errors import Interrupted
from loader.run.signals import Signals

INTERRUPTED = (pacing.__file__, threading.__file__)


@pytest.mark.parametrize("call", ["pause", "back_off", "stop", "answered", "spent"])
def test_stopping_is_possible_at_every_line(call: str):
    """Call `stop`, as the handler does, at every line of the method and of the locks that it uses."""
    pace, lines = Pace(load_settings().delivery, lambda _: None), list[str]()

    def interrupt(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line" and frame.f_code.co_filename in INTERRUPTED:
            lines.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
            sys.settrace(None)
            pace.stop("signal 2")
            sys.settrace(interrupt)
        return interrupt

    def interrupted() -> None:
        arguments = {"pause": (0,), "back_off": (0,), "stop": ("done",)}.get(call, ())
        sys.settrace(interrupt)
        try:
            getattr(pace, call)(*arguments)
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), f"stuck after {lines[-1]}"
    assert lines
    assert pace.reason == "signal 2"


def test_a_signal_ends_a_run_at_once_but_what_it_sends_after_what_is_under_way():
    signals, pace = Signals(), Pace(load_settings().delivery, lambda _: None)
    before = signal.getsignal(signal.SIGTERM)
    with signals.handled():
        with signals.handled(pace):
            signal.raise_signal(signal.SIGTERM)
            assert (signals.first, pace.stopping, pace.reason) == (signal.SIGTERM, True, "signal 15")
            with pytest.raises(Interrupted, match="signal 2"):
                signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
    assert signals.first == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_pace_stops_its_companions_and_is_not_stopped_by_them():
    """Reading back goes by a companion, so a signal that stops the run stops it too."""
    pace = Pace(load_settings().delivery, lambda _: None)
    reading, other = pace.companion(), pace.companion()
    other.stop("the list cannot be read")
    assert (pace.stopping, reading.stopping) == (False, False)
    pace.stop("signal 15")
    assert (reading.reason, other.reason) == ("signal 15", "the list cannot be read")
