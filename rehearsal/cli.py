"""Command line of the rehearsal."""

import argparse
import json
import secrets
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.generate import write_records
from loader.config import ROOT
from rehearsal.evidence import ENTITY, read_evidence, read_references
from rehearsal.plan import make_plan
from rehearsal.receipt import Receipt, make_receipt, print_receipt
from rehearsal.server import Server
from rehearsal.supervisor import Bounds, Supervisor

FOLDER = ROOT / "data" / "rehearsal" / "last"
FEWEST = 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Rehearse; return 0 when everything holds, 1 when something does not, 2 when it cannot run."""
    options = _parser().parse_args(arguments)
    if options.records < FEWEST:
        print(f"error: at least {FEWEST} records are needed for every kind of fault", file=sys.stderr)
        return 2
    say(f"rehearsal --seed {options.seed} --records {options.records}, in {options.folder}")
    bounds = Bounds(options.runs, options.seconds)
    try:
        receipt = rehearse(options.folder.resolve(), options.seed, options.records, bounds)
    except (RuntimeError, OSError) as error:
        print(f"error: {error}; what there is so far is kept in {options.folder}", file=sys.stderr)
        return 2
    print_receipt(receipt, say)
    say(f"everything is kept in {options.folder}: receipt.json, etl.duckdb, sandbox.sqlite, logs")
    return 0 if receipt["all_hold"] else 1


def rehearse(folder: Path, seed: int, records: int, bounds: Bounds) -> Receipt:
    """Rehearse in a folder, whose contents are replaced; write `receipt.json` there and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "logs").mkdir(parents=True)
    write_records(folder / "records.csv", ENTITY, records, bad_every=0, seed=seed)
    plan = make_plan(seed, read_references(folder / "records.csv"))
    with closing(Server(folder / "sandbox.sqlite", plan)) as server:
        supervisor = Supervisor(plan, folder, server, bounds, say)
        done = supervisor.rehearse()
    receipt = make_receipt(plan, read_evidence(folder, server.token), supervisor.runs, server, done=done)
    (folder / "receipt.json").write_text(json.dumps(receipt, indent=2, default=str) + "\n", encoding="utf-8")
    return receipt


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rehearsal",
        description="Import into the sandbox while everything goes wrong, and account for it.",
    )
    add = parser.add_argument
    add("--seed", type=int, default=secrets.randbelow(1_000_000), metavar="N", help="what goes wrong (default: drawn)")
    add("--records", type=int, default=2000, metavar="N", help="records in the file (default %(default)s)")
    add("--runs", type=int, default=80, metavar="N", help="give up after this many runs (default %(default)s)")
    add("--seconds", type=float, default=1200, metavar="N", help="give up after this time (default %(default)s)")
    add("--folder", type=Path, default=FOLDER, help="where it happens; replaced (default data/rehearsal/last)")
    return parser
