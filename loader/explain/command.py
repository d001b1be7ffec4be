"""`python -m loader explain`: what happened to one record, from its line in the file to the API's answer."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from loader.audit.runs import under_way
from loader.card import read_card
from loader.command import OneLineParser, guarded
from loader.config import load_settings
from loader.console import Page
from loader.errors import OK, NotFound
from loader.explain.find import Trail, find, open_trail
from loader.explain.story import read_sources, standing, tell
from loader.explain.text import print_story
from loader.explain.verdict import latest, next_step, verdict
from loader.reports.advice import counted, shown
from loader.storage.warehouse import Row, Warehouse

_NEWEST = 5
_EPILOG = """\
examples:
  {prog} EXT-2026-0001
  {prog} export.csv:17                 the record on line 17, also in the middle of it
  {prog} EXT-2026-0001 --all           every run that saw it, not the newest 5 alone
  {prog} EXT-2026-0001 --run 20260130T101512Z-4f2a9c
  {prog} EXT-2026-0001 --json | jq '.sightings[-1].attempts'
  {prog} -- -0001                      a reference that begins with a hyphen

A reference is compared exactly; one that reads like FILE:LINE is taken as a reference when there is such a record.
A file is found by its path or, where no folder is given, by its name. The texts of the record are shown.

exit codes:
  0  found    1  no such record    2  refused: usage, no such run or kind, no database    4  the database is held
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of the command."""
    command = OneLineParser(prog, "Tell everything that is known of one record, run by run.", _EPILOG.format(prog=prog))
    command.add_argument("record", metavar="REFERENCE|FILE:LINE", help="the record's key, or a line of a source file")
    command.add_argument("--run", metavar="RUN_ID", help="only as this run saw it (default: the newest 5 that did)")
    command.add_argument("--entity-type", metavar="NAME", help="only records of this kind (default: any)")
    command.add_argument("--all", action="store_true", help="every run that saw it, oldest first")
    command.add_argument("--json", action="store_true", help="print one object, texts in full")
    return command


def main(arguments: Sequence[str], prog: str) -> int:
    """Carry out one command line; return the exit code."""
    return guarded(lambda: _main(parser(prog).parse_args(arguments)))


def _main(options: argparse.Namespace) -> int:
    settings, console = load_settings(), Page(as_json=options.json)
    if options.entity_type is not None:
        read_card(options.entity_type)
    warehouse = Warehouse(settings.database, settings.lock_wait_seconds, console.notice)
    try:
        sightings, kept, at = _read(warehouse, options)
        read_sources(_with(at, kept))
        line_note = _line_note(options.record, at) if at else ""
    except NotFound as error:
        console.summary({"asked": options.record, "found": False, "reason": str(error)})
        raise
    last = latest(sightings, at)
    step, earlier = next_step(sightings, last), sightings.index(kept[0])
    left_out = _left_out(len(sightings) - len(kept), of_other_runs=options.run is not None)
    print_story(console, options.record + line_note, kept, last, left_out, step)
    console.summary(_story(options.record, warehouse, last, kept, earlier) | {"next": step})
    return OK


def _read(warehouse: Warehouse, options: argparse.Namespace) -> tuple[list[Row], list[Row], Row | None]:
    """Return all sightings of the record, oldest first, those to be shown, and the one whose line was named."""
    with warehouse.connection(read_only=True) as connection:
        trail = open_trail(connection, warehouse, options.entity_type, options.run)
        _note_running(trail)
        sightings, at = _found(trail, options.record)
        kept = _kept(sightings, options)
        tell(trail, _with(at, kept))
    return sightings, kept, at


def _kept(sightings: list[Row], options: argparse.Namespace) -> list[Row]:
    """Return the sightings to be shown; a run can have several, one for each line that repeats the record."""
    if options.run is not None:
        return [seen for seen in sightings if seen["run_id"] == options.run]
    runs = list(dict.fromkeys(seen["run_id"] for seen in sightings))
    newest = runs if options.all else runs[-_NEWEST:]
    return [seen for seen in sightings if seen["run_id"] in newest]


def _left_out(sightings: int, *, of_other_runs: bool) -> str:
    if not sightings:
        return ""
    if of_other_runs:
        return f"{counted(sightings, 'sighting')} by other runs left out; the last line goes by all of them"
    return f"{counted(sightings, 'earlier sighting')} left out; --all shows them"


def _with(at: Row | None, kept: list[Row]) -> list[Row]:
    return kept if at is None or any(seen is at for seen in kept) else [*kept, at]


def _found(trail: Trail, asked: str) -> tuple[list[Row], Row | None]:
    """Return all sightings of the record, oldest first, and the one whose line was asked for, if a line was.

    They are those of all runs, where the record is looked for in one alone too.
    """
    found, is_line = find(trail, asked)
    at, of_all = found[0], replace(trail, run_id=None)
    if at["reference_number"]:
        same = of_all.records("reference_number = $reference", reference=at["reference_number"])
    else:
        condition = "record_hash = $hash and line_number = $line"
        same = of_all.records(condition, hash=at["record_hash"], line=at["line_number"])
    sightings = standing(of_all, same)
    if not is_line:
        return sightings, None
    of_line = (at["run_id"], at["record_number"])
    return sightings, next(seen for seen in sightings if (seen["run_id"], seen["record_number"]) == of_line)


def _line_note(asked: str, at: Row) -> str:
    """Return what is not certain of the line that was asked for.

    Raises:
        NotFound: it is blank, or beyond the end of the file.

    """
    line, raw, file = int(asked.rpartition(":")[2]), at["raw"], shown(at["run"]["source_file"])
    if raw["found_in"] != "source file":
        return "" if line == at["line_number"] else ", unless that line is a blank one after the record"
    last = at["line_number"] + raw["text"].count("\n")
    if line > raw["lines"]:
        raise NotFound(
            f"{asked} is beyond the end: {file} has {raw['lines']:,} lines, its last record is on line {last}"
        )
    if line > last:
        raise NotFound(f"{asked} is a blank line: the record before it ends on line {last}")
    return ""


def _note_running(trail: Trail) -> None:
    """Note the process of the run that is under way."""
    process, run = under_way(trail.runs, trail.warehouse.path)
    if run:
        run["process"] = process


def _story(asked: str, warehouse: Warehouse, last: Row, kept: list[Row], earlier: int) -> dict[str, Any]:
    return {
        "asked": asked,
        "found": True,
        "database": str(warehouse.path),
        "entity_type": last["entity_type"],
        "reference_number": last["reference_number"],
        "verdict": verdict(last),
        "earlier_sightings": earlier,
        "sightings": [seen | {"verdict": verdict(seen)} for seen in kept],
    }
