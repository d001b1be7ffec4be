"""Which process a run is, so that a later run can tell whether it still lives."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# The states of /proc/<pid>/stat in which a process has ended and nobody has asked for its exit code yet.
_ENDED_STATES = ("Z", "X", "x")
_MOST_PROCESS_ID = 2**31 - 1


@dataclass(frozen=True)
class Process:
    """A process of a host; what a system without /proc does not tell is None.

    `boot_id` is another one after each start of the host. `started` is in clock ticks since then. A `process_id` means
    something in its `pid_namespace` alone: a container has one of its own.
    """

    host: str
    process_id: int
    boot_id: str | None
    pid_namespace: str | None
    started: int | None

    @classmethod
    def this(cls) -> Self:
        """Return the process that calls."""
        number = os.getpid()
        return cls(os.uname().nodename, number, _boot_id(), _pid_namespace(), _state_and_start(number)[1])

    @classmethod
    def kept(cls, values: Any) -> Self:
        """Return a process from its fields as JSON has them.

        Raises:
            ValueError: they are not the fields of a process.

        """
        try:
            found = cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from error
        texts = (found.boot_id, found.pid_namespace)
        if not (
            isinstance(found.host, str)
            and all(isinstance(text, str | None) for text in texts)
            and isinstance(found.process_id, int)
            and isinstance(found.started, int | None)
            and 0 < found.process_id <= _MOST_PROCESS_ID
        ):
            raise ValueError(f"no process: {values}")
        return found

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
        return self._lives_here()

    def _lives_here(self) -> bool | None:
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


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return None


def _pid_namespace() -> str | None:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


def _state_and_start(process_id: int) -> tuple[str | None, int | None]:
    """Return fields 3 and 22 of /proc/<pid>/stat, as `man 5 proc` has them; the name before them may hold anything."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except OSError:
        return None, None
