"""Starts dbt before it is known what it is to build: it loads its modules, for seconds, and waits to be told."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Self

from loader.config import ROOT, TOKEN_COMMAND_VARIABLE, TOKEN_VARIABLE
from loader.modes import PRIVATE_UMASK


class EarlyDbt:
    """A process of `loader.start_dbt`, told once what to do; `output` is what it prints. Leaving it ends the process.

    It never gets the token, nor the way to it.
    """

    def __init__(self) -> None:
        kept_back = (TOKEN_VARIABLE, TOKEN_COMMAND_VARIABLE)
        self.output = TemporaryFile()  # noqa: SIM115 - closed when this is left
        self._told, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                [sys.executable, "-m", "loader.start_dbt", str(its.fileno())],
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name not in kept_back},
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=self.output,
                pass_fds=[its.fileno()],
                umask=PRIVATE_UMASK,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._told.close()
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self.output.close()

    @property
    def process_id(self) -> int:
        """Return the id of its process."""
        return self._process.pid

    def tell(self, arguments: Sequence[str], variables: dict[str, str], descriptors: Sequence[int]) -> None:
        """Let it run dbt with these arguments and further environment variables; it gets copies of the descriptors.

        One that has ended meanwhile says why by itself.
        """
        text = json.dumps({"arguments": arguments, "variables": variables}).encode()
        with suppress(BrokenPipeError, ConnectionResetError), self._told:
            socket.send_fds(self._told, [text], list(descriptors))

    def wait(self) -> None:
        """Wait for its end."""
        self._process.wait()
