"""`python -m loader report`: makes the files of a run again, its HTML page, or exports a report table."""

import argparse
from pathlib import Path

from loader.audit.runs import find_run, known_run_id
from loader.command import OneLineParser
from loader.config import load_settings
from loader.console import Console, shown
from loader.errors import OK, SOME_RECORDS, Refused
from loader.reports.page import page_name, write_page
from loader.reports.remake import remake, remake_probe
from loader.reports.table import FORMATS, STANDARD_OUTPUT, output_path, write_table
from loader.storage.warehouse import Warehouse

_EPILOG = """\
examples:
  python -m loader report last
  python -m loader report 20260130T101512Z-4f2a9c --output /tmp/again
  python -m loader report last --html
  python -m loader report rpt_run_ledger
  python -m loader report rpt_audit_trail --run last --format parquet --output trail.parquet

Without --html, the files of the run are made again from the audit tables, and each is compared with what the run wrote.
A file of the same name with other contents is never replaced.

exit codes:
  0  done; every file is as the run wrote it    1  a file is not
  2  refused: no such run or table, usage       4  the database is held, or a file cannot be written
"""


def parser(prog: str) -> OneLineParser:
    """Return the parser of the command."""
    command = OneLineParser(prog, "Make the reports of a run again, or export a report table.", _EPILOG)
    add = command.add_argument
    add("subject", metavar="RUN_ID|TABLE", help="a run, `last` for the last one, or an rpt_ table of the schema audit")
    add("--html", action="store_true", help="write the run as one page that opens without a network")
    add("--include-text", action="store_true", help="with --html: show values of cells and the API's own words too")
    add("--format", choices=sorted(FORMATS), help="of a table (default: csv)")
    add("--run", metavar="RUN_ID", help="of a table: the rows of this run alone; `last` for the last one")
    where = "default: the output folder, for a table standard output"
    add(
        "--output",
        metavar="PATH",
        help=f"folder of a run's files, or the file to write; - is standard output ({where})",
    )
    add("--json", action="store_true", help="of a run's files: say in JSON what became of each")
    return command


def carry_out(options: argparse.Namespace) -> int:
    """Carry out the command; return the exit code."""
    is_table = options.subject.startswith("rpt_")
    _check(options, is_table=is_table)
    settings, console = load_settings(), Console(as_json=options.json)
    warehouse = Warehouse(settings.database, settings.warehouse.lock_wait_seconds, console.notice)
    if not is_table and not options.html:
        return _files(options.subject, Path(options.output or settings.output.directory), console, warehouse)
    if is_table:
        run_id = None if options.run is None else known_run_id(warehouse, options.run)
        path = output_path(options.output or STANDARD_OUTPUT)
        write_table(warehouse, options.subject, options.format or "csv", path, run_id)
    else:
        run = vars(find_run(warehouse, options.subject))
        folder = Path(settings.output.directory if options.output is None else options.output)
        inside = options.output is None or folder.is_dir()
        path = output_path(str(folder / page_name(run)) if inside else options.output)
        write_page(warehouse, run, path, include_text=options.include_text)
    if path:
        console.notice(f"wrote {shown(path)}")
    return OK


def _check(options: argparse.Namespace, *, is_table: bool) -> None:
    """Refuse options that do not go together."""
    if is_table and (options.html or options.include_text or options.json):
        raise Refused(f"{options.subject} is a table: --html, --include-text and --json are for a run; use --format")
    if not is_table and (options.format or options.run is not None):
        raise Refused(f"{options.subject} is taken for a run: --format and --run are for a table, as rpt_run_ledger")
    if options.include_text and not options.html:
        raise Refused("--include-text goes with --html: the files of a run hold its texts in any case")
    if not is_table and not options.html and options.output == STANDARD_OUTPUT:
        raise Refused("--output - is for a table or --html: a run has several files; name a folder")
    if options.html and options.json:
        raise Refused("--json says what became of a run's files; leave it out with --html")


def _files(subject: str, folder: Path, console: Console, warehouse: Warehouse) -> int:
    missing: list[str] = []
    try:
        run = find_run(warehouse, subject)
    except Refused:
        # A probe is no run; neither is an import that its probe has refused.
        run_id, title, files = subject, "contract probe", remake_probe(warehouse, subject, folder)
        if not files:
            raise
    else:
        run_id, title = run.run_id, f"{run.mode} of {shown(run.source_file)}"
        files, missing = remake(warehouse, run, folder)
    for text in (f"run {run_id}: {title}", *(f"{shown(file.path)}: {file.state.value}" for file in files), *missing):
        console.line(text)
    console.summary({"run_id": run_id, "files": [file.as_row() for file in files], "missing": missing})
    return OK if all(file.is_fine for file in files) else SOME_RECORDS
