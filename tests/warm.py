"""Runs a command in a process of its own that has its modules loaded already: seconds less, hundreds of times."""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from loader.commands import COMMANDS
from sandbox.process import Sandbox

# What `python -m <name>` runs, and what `dbt` runs. No process below has opened a database or started a thread when it
# is forked.
MAINS = {
    "loader": ("loader.__main__", "main"),
    "probe": ("probe.cli", "main"),
    "sandbox": ("sandbox.cli", "main"),
    "dbt": ("dbt.cli.main", "cli"),
}
_DBT_MODULE = "loader.run.start_dbt"
DBT = str(Path(sys.executable).parent / "dbt")
_CONTEXT = multiprocessing.get_context("forkserver")
_LOADED = [module for module, _ in MAINS.values()]
_COMMANDS = [command.module for command in COMMANDS.values()]
_CONTEXT.set_forkserver_preload([*_LOADED, "loader.cli", "dbt.adapters.duckdb", _DBT_MODULE, *_COMMANDS])
# Variables of these kinds are read while a command runs; others may be read by Python as it starts.
_READ_LATE = ("ETL_", "QGP_", "DBT_", "PATH")
_START_SECONDS, _STOP_SECONDS = 120, 60
_APPENDED = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def fits(command: Sequence[str], changed: Mapping[str, str]) -> bool:
    """Tell whether a command can be run here, with these environment variables changed."""
    return _main_of(command) is not None and all(name.startswith(_READ_LATE) for name in changed)


def start(
    name: str, arguments: Sequence[str], variables: Mapping[str, str], out: Path, err: Path, folder: Path | None = None
) -> ForkServerProcess:
    """Start a command of MAINS with these variables alone, in `folder`; what it prints is appended to the files."""
    return _started(name, arguments, variables, [str(out), str(err)], folder)


def run(
    command: Sequence[str], variables: Mapping[str, str], seconds: float, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that `fits` to its end, as `subprocess.run` does."""
    name, arguments = _main_of(command) or ("", ())
    with tempfile.TemporaryDirectory() as temporary:
        out, err = Path(temporary, "out"), Path(temporary, "err")
        process = start(name, arguments, variables, out, err, folder)
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(command, seconds)
        return subprocess.CompletedProcess(command, process.exitcode, *(file.read_text("utf-8") for file in (out, err)))


@contextmanager
def running_sandbox(database: Path, *arguments: str) -> Iterator[Sandbox]:
    """Run a sandbox as `sandbox.process.running_sandbox` does, and end it on leaving."""
    listening, its = multiprocessing.Pipe(duplex=False)
    command = ["serve", "--port", "0", "--database", str(database.resolve()), *arguments]
    process = _started("sandbox", command, os.environ, [its], None)
    try:
        its.close()
        assert listening.poll(_START_SECONDS), "the sandbox does not start"
        line = os.read(listening.fileno(), 1000).decode()
        yield Sandbox(line.removeprefix("sandbox listening on ").split()[0], process)
    finally:
        process.terminate()
        process.join(_STOP_SECONDS)
        process.kill()


def _main_of(command: Sequence[str]) -> tuple[str, Sequence[str]] | None:
    """Return the name in MAINS of what a command line runs, and its arguments; None for any other program."""
    if command[0] in ("python", sys.executable) and command[1] == "-m" and command[2] in MAINS:
        return command[2], command[3:]
    return ("dbt", command[1:]) if command[0] == DBT else None


def _started(
    name: str, arguments: Sequence[str], variables: Mapping[str, str], out: list[str | Connection], folder: Path | None
) -> ForkServerProcess:
    process = _CONTEXT.Process(target=_main, args=(name, list(arguments), dict(variables), out, folder))
    process.start()
    return process


def _main(
    name: str, arguments: list[str], variables: dict[str, str], out: list[str | Connection], folder: Path | None
) -> None:
    os.environ.clear()
    os.environ.update(variables)
    if folder:
        os.chdir(folder)
    for number, into in enumerate(out, 1):
        os.dup2(os.open(into, _APPENDED, 0o600) if isinstance(into, str) else into.fileno(), number)
    sys.argv = [name, *arguments]
    module, function = MAINS[name]
    import_module("loader.run.dbt").subprocess = SimpleNamespace(Popen=_ForkedDbt, DEVNULL=subprocess.DEVNULL)  # type: ignore[attr-defined]
    try:
        sys.exit(getattr(import_module(module), function)(arguments))
    finally:
        # A forked process ends without them; by them dbt closes its database.
        atexit._run_exitfuncs()  # noqa: SLF001


class _ForkedDbt:
    """The dbt of a loader that runs here, started as by `subprocess.Popen`, but forked with dbt's modules loaded.

    It has the descriptors, variables and folder that the loader gives it, and nothing else of the loader.
    """

    def __init__(self, command: Sequence[str], **given: Any) -> None:
        assert (command[2], given["stdin"], given["stderr"]) == (_DBT_MODULE, subprocess.DEVNULL, given["stdout"])
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            _become_dbt(command[3:], **given)

    def poll(self, options: int = os.WNOHANG) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self) -> int | None:
        return self.poll(0)

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _become_dbt(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: int,
    pass_fds: Sequence[int],
    umask: int,
    **_: Any,
) -> NoReturn:
    try:
        atexit._clear()  # noqa: SLF001
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for number, into in enumerate((os.open(os.devnull, os.O_RDONLY), stdout, stdout)):
            os.dup2(into, number)
        # dbt makes locks, which multiprocessing tells its tracker.
        kept = {0, 1, 2, resource_tracker.getfd(), *pass_fds}
        for number in {int(entry.name) for entry in Path("/proc/self/fd").iterdir()} - kept:
            with suppress(OSError):
                os.close(number)
        os.umask(umask)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["start_dbt", *arguments]
        import_module(_DBT_MODULE).main()
    except BaseException:  # noqa: BLE001 - a forked process ends here, whatever happens
        traceback.print_exc()
    finally:
        # `start_dbt` ends the process in the last of these.
        atexit._run_exitfuncs()  # noqa: SLF001
        os._exit(1)
