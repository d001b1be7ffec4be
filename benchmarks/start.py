"""Times the golden sample through dbt and loader beside `dbt build` of a small plain project, on the same machine.

A file of five records has no work in it: what is measured is what a person waits for while correcting a file. All take
turns. Each of ours is measured after a command of its own kind and after one of the other kind, because dbt parses
anew what it believes has changed between them.

Usage: python -m benchmarks.start [--runs N | --small]
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.deliver import environment, loader_command
from benchmarks.validate import ENTITY, FOLDER, positive
from loader.config import ROOT, load_settings
from sandbox.process import running_sandbox

HOME, RUNS = FOLDER / "start", 5
DBT = str(Path(sys.executable).with_name("dbt"))
PLAIN = "dbt build of the plain project"


@dataclass(frozen=True)
class Subject:
    """A command, the command before it, and how many times the plain project's build it may take."""

    name: str
    before: str
    at_most: float | None = None


SUBJECTS = (
    Subject(PLAIN, PLAIN),
    Subject("--validate-only", "--validate-only", 1.2),
    Subject("--validate-only", "dbt build", 1.2),
    Subject("--dry-run", "--validate-only"),
    Subject("--import", "--import", 1.35),
    Subject("--import", "dbt build", 1.35),
    Subject("dbt build", "dbt build", 1.8),
    Subject("dbt build", "--import", 1.8),
)
# Tells that the benchmark works; says nothing about speed.
SMALL = (SUBJECTS[0], SUBJECTS[1], SUBJECTS[4])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, 1 when a limit is missed, 2 when it cannot run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", metavar="N", type=positive, default=RUNS, help="runs of each; the median is printed")
    parser.add_argument("--small", action="store_true", help="a few of them, once, and no limit is judged")
    options = parser.parse_args(arguments)
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.copytree(ROOT / "benchmarks" / "plain", HOME / "plain")
    try:
        taken = _take_turns(SMALL, 1, warm=False) if options.small else _take_turns(SUBJECTS, options.runs, warm=True)
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    shutil.rmtree(HOME)
    all_kept = _print_table({subject: statistics.median(seconds) for subject, seconds in taken.items()})
    if options.small:
        print("the limits are not meant for a single turn")
        return 0
    return 0 if all_kept else 1


def _take_turns(subjects: Sequence[Subject], runs: int, *, warm: bool) -> dict[Subject, list[float]]:
    taken: dict[Subject, list[float]] = {subject: [] for subject in subjects}
    last = ""
    for run in range(0 if warm else 1, runs + 1):
        for subject in subjects:
            if warm and last != subject.before:
                _seconds(subject.before)
            last = subject.name
            seconds = _seconds(subject.name)
            # The first turn lets dbt parse both projects.
            if run:
                taken[subject].append(seconds)
                print(f"run {run} of {runs}, {_words(subject)}: {seconds:.2f} s", flush=True)
    return taken


def _seconds(name: str) -> float:
    """Run the command once; return its seconds.

    Raises:
        RuntimeError: it did not end with 0; quotes the end of what it wrote.

    """
    with ExitStack() as stack:
        command, folder, variables = COMMANDS.get(name, _loader)(name, stack)
        begun = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - begun
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {(done.stdout + done.stderr)[-800:]}")
    return seconds


Command = tuple[list[str], Path, dict[str, str]]


def _plain(_: str, __: ExitStack) -> Command:
    return [DBT, "build"], HOME / "plain", environment(HOME) | {"DBT_TARGET_PATH": "target", "DBT_LOG_PATH": "logs"}


def _ours(_: str, __: ExitStack) -> Command:
    return [DBT, "build"], ROOT, environment(HOME)


def _loader(mode: str, stack: ExitStack) -> Command:
    sandbox = None
    if mode == "--import":
        (HOME / "sandbox.sqlite").unlink(missing_ok=True)
        sandbox = stack.enter_context(running_sandbox(HOME / "sandbox.sqlite", "--environment", "staging"))
    arguments = loader_command(mode, "--source", str(load_settings().source.default[ENTITY]))
    return [sys.executable, *arguments], ROOT, environment(HOME, sandbox)


COMMANDS: dict[str, Callable[[str, ExitStack], Command]] = {PLAIN: _plain, "dbt build": _ours}


def _words(subject: Subject) -> str:
    return subject.name if subject.before == subject.name else f"{subject.name}, after {subject.before}"


def _print_table(seconds: dict[Subject, float]) -> bool:
    """Print the medians beside the plain project's; return whether all limits are kept."""
    plain = seconds[SUBJECTS[0]]
    print(f"\n{'':40}{'seconds':>9}{'times it':>10}{'at most':>9}")
    all_kept = True
    for subject, taken in seconds.items():
        ratio, limit = taken / plain, ""
        if subject.at_most:
            kept = ratio <= subject.at_most
            all_kept, limit = all_kept and kept, f"{subject.at_most:>9.2f}{'' if kept else '  NO'}"
        print(f"{_words(subject):40}{taken:>9.2f}{ratio:>10.2f}{limit}")
    return all_kept


if __name__ == "__main__":
    sys.exit(main())
