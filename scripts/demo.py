"""The demo: the main job on the built-in sandbox, by the runbook's own commands, in a folder of its own."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("data") / "demo"
SAMPLE = "data/etl_source/golden_sample_incidents.csv"
COMPLAINTS = (
    "python scripts/etl/pipeline.py --environment staging --import "
    "--source data/etl_source/golden_sample_complaints.csv --entity-type complaint"
)
PIPELINE = f"python scripts/etl/pipeline.py --environment staging {{mode}} --source {SAMPLE} --entity-type incident"
QUERIES = {
    "what became of every record, run by run": (
        "select run_id, result, records, requests from audit.rpt_import_summary order by run_id"
    ),
    "does every run account for every record": (
        "select run_id, mode, total_records as total, ready_records as ready, created_records as created, "
        "exists_records as present, closes from audit.rpt_run_ledger order by run_id"
    ),
    "why does staging say hazard": (
        "select distinct reference_number, field, before, after, rule from audit.fct_changes "
        "where after = 'hazard' order by all"
    ),
}


def main() -> int:
    """Run the demo; return 0 when every step did what it should."""
    parser = argparse.ArgumentParser(prog="python scripts/demo.py", description=(__doc__ or "").strip())
    parser.add_argument("--folder", type=Path, default=FOLDER, help="emptied first, and kept (default: %(default)s)")
    return demonstrate(parser.parse_args().folder)


def demonstrate(folder: Path) -> int:
    """Run the demo in a folder, relative to the project's root; return 0 when every step did what it should."""
    sys.path.insert(0, str(ROOT))
    from sandbox.process import running_sandbox  # noqa: PLC0415 - the project's root has to be found first

    place = ROOT / folder
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    say("a local staging API, the sandbox, starts on a free port")
    with running_sandbox(place / "sandbox.sqlite", "--environment", "staging") as sandbox:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "ETL_ENVIRONMENT": "staging",
            "ETL_DATABASE": str(place / "etl.duckdb"),
            "ETL_OUTPUT_DIR": str(place / "output"),
            "QGP_STAGING_API_URL": sandbox.url,
            "QGP_API_TOKEN": sandbox.token(),
        }
        steps = [
            ("is it the API that the card describes?", "python scripts/etl/contract_probe.py staging"),
            ("dbt lands, cleans, maps, tests: the gate", "dbt --quiet build"),
            ("what is wrong with the records?", PIPELINE.format(mode="--validate-only")),
            ("what would be posted?", PIPELINE.format(mode="--dry-run")),
            ("post it", PIPELINE.format(mode="--import") + " --batch-size 50"),
            (
                "post it again: nothing is created",
                "python -m loader --environment staging --import --entity-type incident",
            ),
            ("the second entity: complaints", COMPLAINTS),
            ("what happened to one record?", "python -m loader explain EXT-2026-0004"),
            ("does anything wait for somebody?", "python -m loader status"),
            ("was anything in the audit trail changed?", "python -m loader audit-verify"),
            ("a page to look at", "python -m loader report last --html"),
        ]
        for title, command in steps:
            say(title)
            code = run(command, environment)
            if code:
                print(f"error: the command above ended with exit code {code}", file=sys.stderr)
                return code
        print_queries(place)
        say(f"the sandbox holds {len(sandbox.records())} records; it stops now. Everything is in {folder}")
    return 0


def say(title: str) -> None:
    """Print what comes next."""
    print(f"\n== {title}", flush=True)


def run(command: str, environment: dict[str, str]) -> int:
    """Show a command and run it; return its exit code."""
    print(f"$ {command}", flush=True)
    return subprocess.run(shlex.split(command), cwd=ROOT, env=environment, check=False).returncode


def print_queries(place: Path) -> None:
    """Answer three questions from the audit tables."""
    import duckdb  # noqa: PLC0415 - only the demo's last step asks the database itself

    with duckdb.connect(str(place / "etl.duckdb"), read_only=True) as connection:
        for title, query in QUERIES.items():
            say(title)
            print(f"{query};")
            print(connection.sql(query), flush=True)


if __name__ == "__main__":
    sys.exit(main())
