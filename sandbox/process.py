"""Runs a sandbox as a process of its own, for tests and the demo."""

import http.client
import json
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from sandbox.auth import ALL_PERMISSIONS, DEFAULT_LIFETIME, issue_token
from sandbox.names import ADMIN_PREFIX

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_CALL_SECONDS = 10.0
_READY = "sandbox listening on "


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox and the switches of its admin routes."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.process.pid

    def token(self, *permissions: str, expires_in: int = DEFAULT_LIFETIME, tenant: str | None = None) -> str:
        """Make a token with these permissions, with all when none is named; `expires_in` is in seconds."""
        return issue_token(permissions or ALL_PERMISSIONS, expires_in, tenant)

    def requests(self) -> list[dict[str, Any]]:
        """Give the request log: at, method, path, reference_number (the key), status, fault; oldest first."""
        return list(self._call("GET", "requests"))

    def records(self, entity: str | None = None) -> list[dict[str, Any]]:
        """Give the stored records of all tenants, oldest first: one entity's, or all one entity after the other."""
        return list(self._call("GET", f"records/{entity}" if entity else "records"))

    def fault(self, kind: str, count: int = 1, **options: object) -> None:
        """Put a fault in force, with the options of `sandbox.faults.Fault`; count 0 is for ever."""
        self._call("POST", "faults", {"kind": kind, "count": count, **options})

    def clear_faults(self) -> None:
        """Take all faults out of force."""
        self._call("DELETE", "faults")

    def _call(self, method: str, name: str, document: object = None) -> Any:
        """Call an admin route directly, past any proxy; raises `RuntimeError` when it is refused."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_CALL_SECONDS)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, f"{ADMIN_PREFIX}/{name}", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"the sandbox refused {method} {name}: {answer.status} {text}")
        return json.loads(text) if text else None


@contextmanager
def running_sandbox(database: Path, *args: str) -> Iterator[Sandbox]:
    """Run `python -m sandbox serve` on a free port with further `args`, and end it on leaving.

    Raises `RuntimeError` when it does not get ready in 20 s; its stderr is this process's.
    """
    command = [sys.executable, "-m", "sandbox", "serve", "--port", "0"]
    command += ["--database", str(database.resolve()), *args]
    root = Path(__file__).resolve().parent.parent
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root)  # noqa: S603 (our own interpreter)
    try:
        yield Sandbox(_wait_until_ready(process), process)
    finally:
        _end(process)


def _wait_until_ready(process: subprocess.Popen[bytes]) -> str:
    if process.stdout is None:
        raise RuntimeError("the sandbox's output is not read")
    line = _first_line(process.stdout, time.monotonic() + _START_SECONDS)
    if not line.startswith(_READY):
        raise RuntimeError(f"the sandbox did not start (exit code {process.poll()}, output {line!r})")
    return line.removeprefix(_READY).split()[0]


def _first_line(stream: IO[bytes], deadline: float) -> str:
    """Wait for output until `deadline`; the ready line is written at once, so it is never seen in part."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        ready = selector.select(max(deadline - time.monotonic(), 0))
    return stream.readline().decode() if ready else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
