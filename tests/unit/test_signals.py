"""A signal is handled between any two lines of what it interrupts: it must not wait for a lock of its own thread."""

import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from loader.config import load_settings
from loader.delivery import pace as pacing
from loader.delivery.pace import Pace

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
