"""The labelled steps of a run. A rehearsal can have the process killed or stopped before or after any of them.

`ETL_KILL_AT=<before|after>:<step>[:<n>]` sends SIGKILL to this process at the n-th time (by default the first) that it
gets there, `ETL_STOP_AT` SIGSTOP. Only rehearsals and tests set them.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

_SIGNALS = {"ETL_KILL_AT": signal.SIGKILL, "ETL_STOP_AT": signal.SIGSTOP}
_passed: Counter[str] = Counter()


class Step(Enum):
    """What a run does, in its order."""

    PROBE = "probe"
    BUILD = "build"
    KEEP_VALIDATION = "keep_validation"
    CLOSE_UNFINISHED = "close_unfinished"
    CARRY_OVER = "carry_over"
    COMMIT_INTENTS = "commit_intents"
    SEND = "send"
    COMMIT_OUTCOMES = "commit_outcomes"
    READ_BACK = "read_back"
    COMMIT_READ_BACK = "commit_read_back"
    CLOSE_RUN = "close_run"
    WRITE_FILES = "write_files"
    SEAL = "seal"


@contextmanager
def step(name: Step) -> Iterator[None]:
    """Mark the block as one step."""
    _reached(f"before:{name.value}")
    yield
    _reached(f"after:{name.value}")


def _reached(point: str) -> None:
    for variable, number in _SIGNALS.items():
        wanted = os.environ.get(variable, "")
        if wanted.startswith(point):
            _passed[point] += 1
            if (wanted if wanted != point else f"{point}:1") == f"{point}:{_passed[point]}":
                os.kill(os.getpid(), number)
