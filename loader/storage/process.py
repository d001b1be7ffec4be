"""Which process a run is, so that a later run can tell whether it still lives."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# The states of /proc/<pid>/stat in which a process has ended and nobody has asked for its exit code yet.
_ENDED_STATES = ("Z", "X", "x")


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
class Process:
    """A process of a host; values of other types are a ValueError. What a system without /proc does not tell is None.

    `boot_id` is another one after each start of the host. `started` is in clock ticks since then. A `process_id` means
    something in its `pid_namespace` alone: a container has one of its own.
    """

    host: str
    process_id: Annotated[int, Field(gt=0, lt=2**31)]
    boot_id: str | None
    pid_namespace: str | None
    started: int | None

    @classmethod
    def this(cls) -> Self:
        """Return the process that calls."""
        number, boot_id, pid_namespace = os.getpid(), None, None
        with suppress(OSError):
            boot_id = _BOOT_ID.read_text().strip()
            pid_namespace = str(Path("/proc/self/ns/pid").readlink())
        return cls(os.uname().nodename, number, boot_id, pid_namespace, _state_and_start(number)[1])

    def __str__(self) -> str:
        return f"process {self.process_id} of host {self.host}"

    def lives(self) -> bool | None:
        """Tell whether it lives; None where that cannot be seen from here."""
        here = Process.this()
        if self.host != here.host:
            return None
        if self.boot_id and here.boot_id and self.boot_id != here.boot_id:
            return False
        if self.pid_namespace != here.pid_namespace:
            return None
        try:
            os.kill(self.process_id, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            # It is somebody else's.
            pass
        state, started = _state_and_start(self.process_id)
        if state in _ENDED_STATES:
            return False
        return None if self.started is None or started is None else self.started == started


def _state_and_start(process_id: int) -> tuple[str | None, int | None]:
    """Return fields 3 and 22 of /proc/<pid>/stat, as `man 5 proc` has them; the name before them may hold anything."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except OSError:
        return None, None
