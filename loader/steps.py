"""The labelled steps of a run. A rehearsal can have the process killed before or after any of them.

`ETL_KILL_AT=<before|after>:<step>[:<n>]` sends SIGKILL to this process at the n-th time (by default the first) that it
gets there. Only rehearsals and tests set it.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

KILL_VARIABLE = "ETL_KILL_AT"
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
    wanted = os.environ.get(KILL_VARIABLE, "")
    if wanted.startswith(point):
        _passed[point] += 1
        if wanted in (f"{point}:{_passed[point]}", point):
            os.kill(os.getpid(), signal.SIGKILL)
