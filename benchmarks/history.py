"""Times every report, and the proof, of a long history: 200 runs and 1,000,000 results straight into the audit tables.

Usage: python -m benchmarks.history [--results N] [--runs N] [--repeat N]
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb

from benchmarks.history_rows import write_history
from benchmarks.validate import FOLDER as BENCH
from benchmarks.validate import positive
from loader.audit.seals import seal_audit
from loader.config import ROOT
from loader.storage.warehouse import Warehouse

FOLDER = BENCH / "history"
DATABASE = FOLDER / "etl.duckdb"
RUNS, RESULTS, REPEAT = 200, 1_000_000, 3
QUERY_SECONDS, EXPLAIN_SECONDS = 2.0, 1.0
CORES = 2
# Every cell of every row is worked out and read, and nothing is printed.
WHOLE = "select bit_xor(hash(report)) from audit.{} as report"
# What is run beside.
LONGEST = ("fct_records", "fct_import_records", "fct_attempts")
# Reports with a row for each record are asked for one run and one record, and counted as a whole.
BY_RUN = ("rpt_audit_trail", "rpt_issue_history", "rpt_record_history")
BY_REFERENCE = {
    "rpt_record_history": "reference_number",
    "rpt_issue_history": "record",
    "rpt_open_problems": "reference_number",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, 1 when a limit is missed with the full history, 2 when it cannot run."""
    options = _parser().parse_args(arguments)
    if not _built():
        print(f"error: dbt build failed; read {FOLDER / 'dbt.log'}", file=sys.stderr)
        return 2
    with duckdb.connect(str(DATABASE)) as connection:
        write_history(connection, options.runs, options.results)
        last = connection.execute(
            "select run_id, reference_number from audit.fct_import_records order by all desc limit 1"
        )
        run_id, reference = last.fetchall()[0]
    print(f"{options.runs} runs, {options.results:,} result rows, {DATABASE.stat().st_size / 1e6:,.0f} MB", flush=True)
    kept = _time_queries(queries(run_id, reference), options.repeat)
    kept = _time_explain(reference, options.repeat) and kept
    kept = _time_proof() and kept
    if options.results < RESULTS:
        print(f"the limits are meant for {RESULTS:,} result rows")
        return 0
    return 0 if kept else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", metavar="N", type=positive, default=RESULTS, help="result rows in all")
    parser.add_argument("--runs", metavar="N", type=positive, default=RUNS, help="runs that they belong to")
    parser.add_argument(
        "--repeat",
        metavar="N",
        type=positive,
        default=REPEAT,
        help="times of each; the quickest counts, for other work can only add",
    )
    return parser


def _built() -> bool:
    """Build the golden sample into a new database; tell whether that worked."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with (FOLDER / "dbt.log").open("w", encoding="utf-8") as log:
        command = [str(Path(sys.executable).parent / "dbt"), "--quiet", "build", "--exclude-resource-type", "unit_test"]
        return (
            subprocess.run(command, cwd=ROOT, env=_environment(), stdout=log, stderr=log, check=False).returncode == 0
        )


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ETL_", "QGP_", "DBT_"))}
    return inherited | {
        "ETL_DATABASE": str(DATABASE),
        "DBT_TARGET_PATH": str(FOLDER / "target"),
        "DBT_LOG_PATH": str(FOLDER),
    }


def queries(run_id: str, reference: str) -> dict[str, str]:
    """Return what is asked of every report, under the name of the report and of what is asked."""
    asked = {}
    for path in sorted((ROOT / "dbt_project" / "models" / "audit" / "reports").glob("rpt_*.sql")):
        report = path.stem
        asked[f"{report}, whole"] = WHOLE.format(report)
        if report in BY_RUN:
            asked[f"{report}, one run"] = f"select * from audit.{report} where run_id = '{run_id}'"  # noqa: S608
        if report in BY_REFERENCE:
            asked[f"{report}, one record"] = (
                f"select * from audit.{report} where {BY_REFERENCE[report]} = '{reference}'"  # noqa: S608
            )
    return asked


def _time_queries(asked: dict[str, str], repeat: int) -> bool:
    """Print a line for each query, with its seconds and its ratio to the bare scan; return whether all are quick."""
    scans = [_quickest(WHOLE.format(table), repeat) for table in LONGEST]
    bare, worked = (sum(part) for part in zip(*scans, strict=True))
    print(f"\n{'':36}{'seconds':>9}{'CPU s':>8}{'times a bare scan':>20}   at most {QUERY_SECONDS:g} s")
    print(f"{'bare scan of ' + str(len(LONGEST)) + ' tables':36}{bare:>9.2f}{worked:>8.2f}{1:>20.1f}")
    kept = True
    for name, query in asked.items():
        seconds, worked = _quickest(query, repeat)
        quick = seconds <= QUERY_SECONDS
        kept = kept and quick
        verdict = "yes" if quick else "NO"
        print(f"{name:36}{seconds:>9.2f}{worked:>8.2f}{seconds / bare:>20.1f}   {verdict}", flush=True)
    return kept


def _quickest(query: str, repeat: int) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of the quickest; each has a connection of its own and fetches all rows."""
    return min(_seconds(query) for _ in range(repeat))


def _seconds(query: str) -> tuple[float, float]:
    with duckdb.connect(str(DATABASE), read_only=True, config={"threads": CORES}) as connection:
        begun, worked = time.monotonic(), time.process_time()
        connection.execute(query).fetchall()
        return time.monotonic() - begun, time.process_time() - worked


def _time_explain(reference: str, repeat: int) -> bool:
    """Print the seconds of `explain`, the whole process; return whether it keeps its limit."""
    command, taken = [sys.executable, "-m", "loader", "explain", reference], []
    for _ in range(repeat):
        begun = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
        taken.append(time.monotonic() - begun)
        if reference not in done.stdout:
            print(f"explain did not name {reference}: {done.stderr.strip()[-200:]}")
            return False
    seconds = min(taken)
    quick = seconds <= EXPLAIN_SECONDS
    verdict = f"{'yes' if quick else 'NO'}, at most {EXPLAIN_SECONDS:g} s"
    print(f"{'explain, the whole process':36}{seconds:>9.2f}{'':>31}{verdict}")
    return quick


def _time_proof() -> bool:
    """Print the seconds of sealing all of the history and of proving it, each once; return whether it is proven."""
    begun = time.monotonic()
    seal_audit(Warehouse(DATABASE, 0, print), print)
    print(f"{'sealing every row of it, once':36}{time.monotonic() - begun:>9.2f}")
    command, begun = [sys.executable, "-m", "loader", "audit-verify"], time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    proven = done.returncode == 0
    said = "proven" if proven else "NOT proven"
    print(f"{'audit-verify, the whole process':36}{time.monotonic() - begun:>9.2f}{'':>31}{said}")
    return proven


if __name__ == "__main__":
    sys.exit(main())
