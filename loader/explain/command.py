"""`python -m loader explain`: tells what happened to one record, from its line in the file to the API's answer."""

import argparse
from dataclasses import asdict
from typing import Any

from loader.card import read_card
from loader.command import OneLineParser
from loader.config import load_settings
from loader.console import Page, counted, shown
from loader.errors import OK, NotFound
from loader.explain.story import Sighting, Story, Told, read_story
from loader.explain.text import print_story
from loader.explain.verdict import latest, next_step, verdict
from loader.storage.warehouse import Warehouse

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


def carry_out(options: argparse.Namespace) -> int:
    """Carry out the command; return the exit code."""
    settings, console = load_settings(), Page(as_json=options.json)
    if options.entity_type is not None:
        read_card(options.entity_type)
    warehouse = Warehouse(settings.database, settings.warehouse.lock_wait_seconds, console.notice)
    try:
        newest = None if options.all else _NEWEST
        story = read_story(warehouse, options.record, options.entity_type, options.run, newest)
        line_note = _line_note(options.record, story.at) if story.at else ""
    except NotFound as error:
        console.summary({"asked": options.record, "found": False, "reason": str(error)})
        raise
    last = latest(story.sightings, story.at.seen if story.at else None)
    step = next_step(story.sightings, last)
    others, left_out = len(story.sightings) - len(story.told), ""
    if others and options.run is not None:
        left_out = f"{counted(others, 'sighting')} by other runs left out; the last line goes by all of them"
    elif others:
        left_out = f"{counted(others, 'earlier sighting')} left out; --all shows them"
    print_story(console, options.record + line_note, story.told, last, left_out, step)
    console.summary(_document(options.record, warehouse, story, last) | {"next": str(step)})
    return OK


def _line_note(asked: str, at: Told) -> str:
    """Return a note where the line asked for may be a blank one; raise NotFound where it is, or is beyond the end."""
    line, begins, raw = int(asked.rpartition(":")[2]), at.seen.line_number, at.raw
    if raw.text is None or raw.found_in == "landing":
        return "" if line == begins else ", unless that line is a blank one after the record"
    last = begins + raw.text.count("\n")
    if line > raw.lines:
        file = shown(at.seen.run.source_file or "")
        raise NotFound(f"{asked} is beyond the end: {file} has {raw.lines:,} lines, its last record is on line {last}")
    if line > last:
        raise NotFound(f"{asked} is a blank line: the record before it ends on line {last}")
    return ""


def _document(asked: str, warehouse: Warehouse, story: Story, last: Sighting) -> dict[str, Any]:
    """Return what `--json` prints."""
    told = []
    for one in story.told:
        entry = asdict(one)
        del entry["span"]
        told.append(entry.pop("seen") | entry | {"verdict": verdict(one.seen)})
    return {
        "asked": asked,
        "found": True,
        "database": str(warehouse.path),
        "entity_type": last.entity_type,
        "reference_number": last.reference_number,
        "verdict": verdict(last),
        "earlier_sightings": story.sightings.index(story.told[0].seen),
        "sightings": told,
    }
