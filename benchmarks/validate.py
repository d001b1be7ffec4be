"""Times `--validate-only` of a large file beside a bare read of it, a loop with the same checks, and a dry-run.

Each is a process of its own from start to end. They take turns, so that what else the machine does is shared.

Usage: python -m benchmarks.validate [--records N] [--runs N]
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generate import write_records
from loader.config import ROOT, load_settings

# The small forms that the tests run have a folder of their own.
FOLDER = Path(os.environ.get("BENCH_FOLDER") or ROOT / "data" / "bench")
ENTITY, RECORDS, RUNS = "incident", 1_000_000, 3
# Free disk: the file, a database that holds it in several stages, the reports; copies of it in the temporary folder.
BYTES_PER_RECORD, SPOOLED_BYTES_PER_RECORD = 4_000, 600
AT_MOST_BARE_READS, LESS_THAN_LOOPS = 12, 0.5
# The dry-run, which keeps what an import would send and every changed cell.
AT_MOST_VALIDATIONS, AT_MOST_MEGABYTES = 1.4, 1_000
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Subject:
    """What is timed: a letter, what it is, its command, and the exit codes that say that it did its work."""

    letter: str
    name: str
    command: tuple[str, ...]
    exit_codes: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Measure:
    """One run of a subject: whole-process wall time, and the largest resident memory of any one of its processes."""

    seconds: float
    peak_bytes: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, 1 when a limit is missed with the full number of records, 2 when it cannot run."""
    options = _parser().parse_args(arguments)
    try:
        source = _source(options.records)
        # dbt parses the project once and keeps that: in no measure, whatever was there before.
        _measured(_pipeline("B", "validate-only", load_settings().source.default[ENTITY]), FOLDER / "run")
        measures = _take_turns(_subjects(source), options.runs)
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    kept = _print_table({letter: _median(taken) for letter, taken in measures.items()})
    if options.records < RECORDS:
        print(f"the limits are meant for {RECORDS:,} records; with {options.records:,} the start of dbt weighs more")
        return 0
    return 0 if kept else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--records", metavar="N", type=positive, default=RECORDS, help="records in the file")
    parser.add_argument("--runs", metavar="N", type=positive, default=RUNS, help="runs of each; the median is printed")
    return parser


def positive(text: str) -> int:
    """Read a whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _source(records: int) -> Path:
    """Return the file, written now unless this very generator has written it before.

    Raises:
        RuntimeError: there is not enough free disk for the whole benchmark.

    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    for folder, each in ((FOLDER, BYTES_PER_RECORD), (Path(tempfile.gettempdir()), SPOOLED_BYTES_PER_RECORD)):
        needed, free = each * records, shutil.disk_usage(folder).free
        if free < needed:
            raise RuntimeError(
                f"{folder}: {free / MEGABYTE:,.0f} MB free, about {needed / MEGABYTE:,.0f} MB are needed; "
                "free some, or try fewer records: --records 100000"
            )
    generator = hashlib.sha256((Path(__file__).parent / "generate.py").read_bytes()).hexdigest()[:8]
    path = FOLDER / f"records_{records}_{generator}.csv"
    if not path.exists():
        print(f"writing {records:,} records to {path}", flush=True)
        write_records(path, ENTITY, records)
    print(f"{path}: {records:,} records, {path.stat().st_size / MEGABYTE:,.0f} MB", flush=True)
    return path


def _subjects(source: Path) -> list[Subject]:
    python, folder = sys.executable, FOLDER / "run"
    return [
        Subject("A", "bare read_csv", (python, "benchmarks/bare_read.py", str(source), str(folder / "bare.duckdb"))),
        _pipeline("B", "validate-only", source),
        Subject("C", "DictReader loop", (python, "-m", "benchmarks.dictreader_loop", str(source), ENTITY, str(folder))),
        _pipeline("D", "dry-run", source),
    ]


def _pipeline(letter: str, mode: str, source: Path) -> Subject:
    command = (sys.executable, "-m", "loader", "--environment", "staging", f"--{mode}", "--source", str(source))
    return Subject(letter, mode, (*command, "--entity-type", ENTITY), (0, 1))


def _take_turns(subjects: Sequence[Subject], runs: int) -> dict[str, list[Measure]]:
    measures: dict[str, list[Measure]] = {subject.letter: [] for subject in subjects}
    for run in range(1, runs + 1):
        for subject in subjects:
            measure = _measured(subject, FOLDER / "run")
            print(
                f"run {run} of {runs}, {subject.letter} {subject.name}: {measure.seconds:,.1f} s, "
                f"{measure.peak_bytes / MEGABYTE:,.0f} MB",
                flush=True,
            )
            measures[subject.letter].append(measure)
    return measures


def _measured(subject: Subject, folder: Path) -> Measure:
    """Run the subject once, on a fresh database and output folder.

    Raises:
        RuntimeError: it did not do its work; names its output.

    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    result, log = FOLDER / "measure.json", FOLDER / f"{subject.letter}.log"
    result.unlink(missing_ok=True)
    os.sync()  # what the one before it wrote is not its burden
    wrapper = [sys.executable, "-I", "benchmarks/measured.py", str(result), str(log), *subject.command]
    subprocess.run(wrapper, cwd=ROOT, env=_environment(folder), check=True)
    measured = json.loads(result.read_text(encoding="utf-8"))
    shutil.rmtree(folder)
    if measured["exit_code"] not in subject.exit_codes:
        raise RuntimeError(f"{subject.name} ended with exit code {measured['exit_code']}; read {log}")
    return Measure(measured["seconds"], measured["peak_bytes"])


def _environment(folder: Path) -> dict[str, str]:
    left_out = ("ETL_", "QGP_", "DBT_", "PYTHON")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return inherited | {
        "ETL_DATABASE": str(folder / "etl.duckdb"),
        "ETL_OUTPUT_DIR": str(folder / "output"),
        "DBT_TARGET_PATH": str(FOLDER / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }


def _median(measures: Sequence[Measure]) -> Measure:
    return Measure(
        statistics.median(measure.seconds for measure in measures),
        round(statistics.median(measure.peak_bytes for measure in measures)),
    )


def _print_table(medians: dict[str, Measure]) -> bool:
    """Print the medians with their ratios; return whether all limits are kept."""
    names = {subject.letter: subject.name for subject in _subjects(Path())}
    bare, validate, loop, dry_run = (medians[letter].seconds for letter in "ABCD")
    print(f"\n{'':20}{'seconds':>10}{'times A':>10}{'of C':>8}{'peak MB':>10}")
    for letter, measure in medians.items():
        print(
            f"{letter + '  ' + names[letter]:20}{measure.seconds:>10,.1f}{measure.seconds / bare:>10.1f}"
            f"{measure.seconds / loop:>8.2f}{measure.peak_bytes / MEGABYTE:>10,.0f}"
        )
    limits = {
        f"B is at most {AT_MOST_BARE_READS} times A": validate <= AT_MOST_BARE_READS * bare,
        f"B is less than {LESS_THAN_LOOPS} of C": validate < LESS_THAN_LOOPS * loop,
        f"D is at most {AT_MOST_VALIDATIONS} times B": dry_run <= AT_MOST_VALIDATIONS * validate,
        f"D takes at most {AT_MOST_MEGABYTES:,} MB": medians["D"].peak_bytes <= AT_MOST_MEGABYTES * MEGABYTE,
    }
    for limit, kept in limits.items():
        print(f"{limit}: {'yes' if kept else 'NO'}")
    return all(limits.values())


if __name__ == "__main__":
    sys.exit(main())
