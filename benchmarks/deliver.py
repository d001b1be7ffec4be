"""Times the delivery of records to the sandbox, on which each create takes 50 ms, beside the ideal and bare clients.

The ideal is concurrency / latency: what a client would reach for which nothing else takes time. Every run has a sandbox
and a copy of the built database of its own; the payload is built once for each number of records.

Usage: python -m benchmarks.deliver [--runs N | --small]
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.generate import write_records
from benchmarks.validate import ENTITY, FOLDER, positive
from loader.card import read_card
from loader.config import ROOT
from sandbox.process import Sandbox, running_sandbox

LATENCY_MS, BATCH_SIZE, RUNS = 50, 500, 3
# max_concurrency and the number of records that makes a run long enough for the start not to matter.
CASES = {1: 300, 8: 2000, 32: 4000}
# Tells that the benchmark works, in seconds; says nothing about speed.
SMALL = {1: 40, 8: 40}
HOME = FOLDER / "deliver"
NAMES = {
    "loader": "the loader, while it posts",
    "process": "the loader, whole process",
    "loop": "requests.post, one by one",
    "pool": "requests in as many threads",
    "raw": "bare sockets",
}
# What is judged: a subject at a concurrency, and how much of what another reaches, or of the ideal, it is to reach.
LIMITS = (
    (8, "loader", "ideal", 0.85),
    (32, "loader", "ideal", 0.75),
    (8, "process", "ideal", 0.75),
    (8, "loader", "pool", 0.90),
)
# From the first intent to the last answer.
POSTING = """
    select epoch(max(attempted_at)) - epoch((select min(intended_at) from audit.fct_intents))
    from audit.fct_import_records where result = 'created' having count(*) = ?
"""


@dataclass(frozen=True)
class Case:
    """One concurrency: its number of records, the database that has them built, and their bodies, one JSON a line."""

    concurrency: int
    records: int
    built: Path
    bodies: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, 1 when a limit is missed, 2 when it cannot run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deliver", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", metavar="N", type=positive, default=RUNS, help="runs of each; the median is printed")
    parser.add_argument("--small", action="store_true", help="few records, once, and no limit is judged")
    options = parser.parse_args(arguments)
    cases, runs = (SMALL, 1) if options.small else (CASES, options.runs)
    shutil.rmtree(HOME, ignore_errors=True)
    try:
        rates = _take_turns([_case(*case) for case in cases.items()], runs)
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    shutil.rmtree(HOME)
    reached = _print_table(rates)
    if options.small:
        print("the limits are not meant for so few records")
        return 0
    return 0 if _print_limits(reached) else 1


def _case(concurrency: int, records: int) -> Case:
    """Build the payload of that many sound records with a dry-run of them: a validation writes none."""
    folder = HOME / str(records)
    folder.mkdir(parents=True, exist_ok=True)
    source, case = folder / "records.csv", Case(concurrency, records, folder / "etl.duckdb", folder / "bodies")
    if case.bodies.exists():
        return case
    write_records(source, ENTITY, records, bad_every=0)
    print(f"building {records:,} records", flush=True)
    _run(loader_command("--dry-run", "--source", str(source)), environment(folder))
    card = read_card(ENTITY)
    columns = ", ".join(f'"{field.name}"' for field in card.fields)
    with duckdb.connect(str(case.built), read_only=True) as connection:
        rows = connection.execute(f"select {columns} from payload.{card.payload_model}").fetchall()  # noqa: S608
    names = [field.name for field in card.fields]
    bodies = [{name: cell for name, cell in zip(names, row, strict=True) if cell is not None} for row in rows]
    case.bodies.write_text("".join(json.dumps(body, default=str) + "\n" for body in bodies), encoding="utf-8")
    return case


def _take_turns(cases: Sequence[Case], runs: int) -> dict[tuple[int, str], list[float]]:
    """Return the records a second of every run, by concurrency and subject."""
    rates: dict[tuple[int, str], list[float]] = {}
    for run in range(1, runs + 1):
        for case in cases:
            for subject in ("loader", "loop" if case.concurrency == 1 else "pool", "raw"):
                for name, seconds in _measured(case, subject).items():
                    rates.setdefault((case.concurrency, name), []).append(case.records / seconds)
                    rate = f"{case.records / seconds:,.0f} records/s"
                    print(f"run {run} of {runs}, at {case.concurrency}, {NAMES[name]}: {rate}", flush=True)
    return rates


def _measured(case: Case, subject: str) -> dict[str, float]:
    """Post the records once, to a sandbox of its own; return the seconds that it took."""
    folder = HOME / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with running_sandbox(folder / "sandbox.sqlite", *_sandbox_options()) as sandbox:
        if subject == "loader":
            return _measured_loader(case, folder, sandbox)
        url = sandbox.url + read_card(ENTITY).endpoint
        client = ("-m", "benchmarks.clients", subject, url, str(case.concurrency), str(case.bodies))
        printed, _ = _run(client, environment(folder, sandbox))
    return {subject: float(printed)}


def _measured_loader(case: Case, folder: Path, sandbox: Sandbox) -> dict[str, float]:
    shutil.copy(case.built, folder / "etl.duckdb")
    settings = (ROOT / "etl.toml").read_text(encoding="utf-8")
    for key, value in (("max_concurrency", case.concurrency), ("batch_size", BATCH_SIZE)):
        settings, replaced = re.subn(rf"(?m)^{key} = \d+", f"{key} = {value}", settings)
        if replaced != 1:
            raise RuntimeError(f"etl.toml: {key} stands there {replaced} times; once is needed")
    (folder / "etl.toml").write_text(settings, encoding="utf-8")
    _, seconds = _run(
        loader_command("--import"), environment(folder, sandbox) | {"ETL_CONFIG": str(folder / "etl.toml")}
    )
    with duckdb.connect(str(folder / "etl.duckdb"), read_only=True) as connection:
        posting = connection.execute(POSTING, [case.records]).fetchone()
    if posting is None:
        raise RuntimeError(f"not every record was created; the database is {folder / 'etl.duckdb'}")
    return {"loader": posting[0], "process": seconds}


def _sandbox_options() -> tuple[str, ...]:
    return ("--environment", "staging", "--latency-ms", str(LATENCY_MS))


def loader_command(*arguments: str) -> tuple[str, ...]:
    """Return the arguments for Python that run the loader with these."""
    return ("-m", "loader", "--environment", "staging", "--entity-type", ENTITY, *arguments)


def _run(arguments: Sequence[str], environment: dict[str, str]) -> tuple[str, float]:
    """Run Python with these arguments; return what it printed and its seconds.

    Raises:
        RuntimeError: it did not end with 0; quotes the end of what it wrote.

    """
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - begun
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(arguments[:2])} ended with {done.returncode}: {(done.stdout + done.stderr)[-800:]}"
        )
    return done.stdout, seconds


def environment(folder: Path, sandbox: Sandbox | None = None) -> dict[str, str]:
    """Return the variables of a command with a database and output of its own, and with the way to the sandbox."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ETL_", "QGP_", "DBT_"))}
    own = {
        "ETL_DATABASE": str(folder / "etl.duckdb"),
        "ETL_OUTPUT_DIR": str(folder / "output"),
        "DBT_TARGET_PATH": str(FOLDER / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    at = {"QGP_STAGING_API_URL": sandbox.url, "QGP_API_TOKEN": sandbox.token()} if sandbox else {}
    return inherited | own | at


def _print_table(rates: dict[tuple[int, str], list[float]]) -> dict[tuple[int, str], float]:
    """Print the medians beside the ideal; return them, and the ideal."""
    reached = {key: statistics.median(taken) for key, taken in rates.items()}
    loop = reached[1, "loop"]
    print(f"\n{'':34}{'records/s':>11}{'of the ideal':>14}{'times the loop':>16}")
    for (concurrency, name), rate in list(reached.items()):
        ideal = reached[concurrency, "ideal"] = concurrency / LATENCY_MS * 1000
        print(f"{concurrency:>3}  {NAMES[name]:29}{rate:>11,.1f}{rate / ideal:>14.0%}{rate / loop:>16.1f}")
    return reached


def _print_limits(reached: dict[tuple[int, str], float]) -> bool:
    """Print whether each limit is kept; return whether all are."""
    all_kept = True
    for concurrency, name, beside, least in LIMITS:
        share = reached[concurrency, name] / reached[concurrency, beside]
        all_kept = all_kept and share >= least
        limit = f"at {concurrency}, {NAMES[name]}: at least {least:.0%} of {NAMES.get(beside, 'the ideal')}"
        print(f"{limit}: {share:.0%}, {'yes' if share >= least else 'NO'}")
    return all_kept


if __name__ == "__main__":
    sys.exit(main())
