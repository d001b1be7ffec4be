"""Gathers all that is known of a record: what the tables hold, run by run, and its text from the source file."""

import codecs
import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from mmap import mmap
from pathlib import Path
from typing import Any, NamedTuple

from loader.audit.runs import KnownRun
from loader.config import load_settings
from loader.errors import SourceRefused
from loader.explain.find import Record, Search, find, open_search
from loader.landing.dialect import Dialect
from loader.landing.source import open_source
from loader.storage.warehouse import NUMBERS, TEXTS, Row, Warehouse, fetch, in_bulk

EARLIER_RUN = "earlier_run"

# Rows of the audit tables, without the columns that say which record of which run it is.


@dataclass(frozen=True)
class Result:
    """What became of the record in an import: its row of `audit.fct_import_records`."""

    result: str
    confirmed_by: str | None
    status_code: int | None
    attempts: int
    response_time_ms: float | None
    api_id: str | None
    error_message: str | None
    attempted_at: datetime | None


@dataclass(frozen=True)
class Intent:
    """That an import was about to send the record."""

    intended_at: datetime


@dataclass(frozen=True)
class ReadBack:
    """What reading the record back has shown; `is_ours`: it was created by this loader."""

    is_ours: bool
    verdict: str
    differing_fields: str | None
    status_code: int | None
    verified_at: datetime


@dataclass(frozen=True)
class Change:
    """A cell that cleaning or a mapping has changed."""

    field: str
    before: str | None
    after: str | None
    rule: str


@dataclass(frozen=True)
class Issue:
    """A rule that the record breaks."""

    severity: str
    code: str
    field: str | None
    value: str | None
    counted: int | None
    allowed: int | None
    suggestion: str | None
    message: str
    how_to_fix: str


@dataclass(frozen=True)
class Attempt:
    """A request for the record, and its answer."""

    attempt: int
    sent_at: datetime
    waited_ms: float
    response_time_ms: float
    was_sent: bool
    status_code: int | None
    next_action: str
    message: str | None


@dataclass(frozen=True)
class Sighting(Record):
    """A record as one run read it, and what became of it in that run.

    `settled_by` is the run whose result was carried over to this one. `rejected_file` is the run's file of rejected
    records, where it is still there.
    """

    run: KnownRun
    outcome: Result | None = None
    intents: tuple[Intent, ...] = ()
    readback: tuple[ReadBack, ...] = ()
    settled_by: str | None = None
    rejected_file: str | None = None


@dataclass(frozen=True)
class Raw:
    """The record as it is in the file.

    It is `text`, or `cells` by their column where landing alone has it. `found_in` is `source file`, `landing` or None.
    `lines` is the number of lines of the file, 0 where it cannot be read; then `note` says why.
    """

    text: str | None
    cells: dict[str, str | None] | None
    found_in: str | None
    lines: int
    note: str | None


class Span(NamedTuple):
    """The lines of a file from `first` on, both from 1, up to `last`; None is the end of the file."""

    first: int
    last: int | None


@dataclass(frozen=True)
class Told:
    """A sighting with all that is known of it; `is_last_build`: dbt has built nothing since."""

    seen: Sighting
    span: Span
    raw: Raw
    changes: tuple[Change, ...]
    issues: tuple[Issue, ...]
    attempts: tuple[Attempt, ...]
    is_last_build: bool = False
    payload: Row | None = None


@dataclass(frozen=True)
class Story:
    """All sightings of a record, oldest first; those that are told; and `at`, the one whose line was asked for."""

    sightings: tuple[Sighting, ...]
    told: tuple[Told, ...]
    at: Told | None


def read_story(warehouse: Warehouse, asked: str, entity: str | None, run_id: str | None, newest: int | None) -> Story:
    """Return the story of a record, `asked` for as a reference or `FILE:LINE`.

    It is looked for in records of the kind `entity` and in the run `run_id`, None for any; its sightings are those of
    all runs, and those of `run_id`, or of the `newest` so many runs, are told, None for all. The database is closed
    while a source file is read, which takes seconds when it is large.

    Raises:
        NotFound: there is no such record.
        Refused: there is no such run, or several files have that name.

    """
    with warehouse.connection(read_only=True) as connection:
        search = open_search(connection, warehouse, entity, run_id)
        record, is_line = find(search, asked)
        everywhere = replace(search, run_id=None)
        sightings = _sightings(everywhere, _same(everywhere, record))
        at = next(seen for seen in sightings if _key(seen) == _key(record)) if is_line else None
        kept = _kept(sightings, run_id, newest)
        wanted = kept if at is None or at in kept else [*kept, at]
        held = _held(everywhere, wanted)
    told = {_key(one.seen): one for one in _with_text(held)}
    return Story(tuple(sightings), tuple(told[_key(seen)] for seen in kept), told[_key(at)] if at else None)


def _same(search: Search, record: Record) -> list[Record]:
    if record.reference_number:
        return search.records("reference_number = $reference", reference=record.reference_number)
    condition = "record_hash = $hash and line_number = $line"
    return search.records(condition, hash=record.record_hash, line=record.line_number)


def _kept(sightings: list[Sighting], run_id: str | None, newest: int | None) -> list[Sighting]:
    """Return the sightings to tell of; a run can have several, one for each line that repeats the record."""
    runs = list(dict.fromkeys(seen.run_id for seen in sightings))
    kept = [run_id] if run_id is not None else runs[-newest:] if newest else runs
    return [seen for seen in sightings if seen.run_id in kept]


# What the tables hold.

Key = tuple[str | None, str, int]
_LINEAGE = ("record_number", "line_number", "record_hash", "source_file", "source_sha256", "invocation_id")
_CELLS_AFTER = "other_cells"


def _key(record: Record) -> Key:
    return record.run_id, record.entity_type, record.record_number


def _columns(kind: type[Any]) -> str:
    return ", ".join(field.name for field in fields(kind))


def _rows(
    search: Search, kind: type[Any], table: str, order: str, records: Sequence[Record]
) -> Callable[[Record], tuple[Any, ...]]:
    """Read what an audit table has of these records; return the function that gives the rows of one of them."""
    query = (
        f"select run_id, record_number, {_columns(kind)} from audit.{table} "  # noqa: S608 - our own names
        f"where list_contains({TEXTS}, run_id) and list_contains({NUMBERS}, record_number) order by {order}"
    )
    runs, numbers = _runs(records), in_bulk(sorted({record.record_number for record in records if record.run_id}))
    found: defaultdict[tuple[str | None, int], list[Any]] = defaultdict(list)
    for row in fetch(search.connection, query, [runs, numbers]):
        found[row.pop("run_id"), row.pop("record_number")].append(kind(**row))
    return lambda record: tuple(found[record.run_id, record.record_number])


def _runs(records: Sequence[Record]) -> str:
    return in_bulk(sorted({record.run_id for record in records if record.run_id}))


def _sightings(search: Search, records: Sequence[Record]) -> list[Sighting]:
    """Return the records with their run and what became of them in it."""
    outcomes = _rows(search, Result, "fct_import_records", "attempted_at", records)
    intents = _rows(search, Intent, "fct_intents", "intended_at", records)
    readback = _rows(search, ReadBack, "fct_readback", "verified_at", records)
    query = (
        f"select run_id, path from audit.fct_output_files where kind = 'rejected' and list_contains({TEXTS}, run_id)"  # noqa: S608
    )
    files = fetch(search.connection, query, [_runs(records)])
    rejected = {row["run_id"]: row["path"] for row in files if Path(row["path"]).is_file()}
    seen: list[Sighting] = []
    for record in records:
        outcome, run = next(iter(outcomes(record)), None), search.run_of(record)
        is_carried = outcome is not None and outcome.confirmed_by == EARLIER_RUN
        seen.append(
            Sighting(
                **asdict(record),
                run=run,
                outcome=outcome,
                intents=intents(record),
                readback=readback(record),
                settled_by=_settled_by(record, run, seen) if is_carried else None,
                rejected_file=rejected.get(record.run_id),
            )
        )
    return seen


def _settled_by(record: Record, run: KnownRun, before: Sequence[Sighting]) -> str | None:
    """Return the run that a carried result is from: the last one before that sent the same record to the same API."""
    sent = (
        seen.run_id
        for seen in reversed(before)
        if seen.outcome
        and seen.outcome.confirmed_by != EARLIER_RUN
        and (seen.run.address, seen.record_hash) == (run.address, record.record_hash)
    )
    return next(sent, None)


def _held(search: Search, sightings: Sequence[Sighting]) -> list[Told]:
    """Return the sightings with all that the database holds of them; only the text of the file is missing."""
    changes = _rows(search, Change, "fct_changes", "field", sightings)
    issues = _rows(search, Issue, "fct_issues", "severity, code, field", sightings)
    attempts = _rows(search, Attempt, "fct_attempts", "attempt", sightings)
    held = []
    for seen in sightings:
        span, raw = Span(seen.line_number, _last_line(search, seen)), Raw(None, None, None, 0, None)
        told = Told(seen, span, raw, changes(seen), issues(seen), attempts(seen))
        # A build that stopped half-way has landed another file, while the totals are still those of the one before.
        held.append(_of_last_build(search, told, row) if (row := _landed(search, seen)) else told)
    return held


def _landed(search: Search, seen: Sighting) -> Row | None:
    """Return the record as landing holds it; None where dbt has built, or landing holds, something else since."""
    last = search.last_builds.get(seen.entity_type)
    if last is None or last["invocation_id"] != seen.run.invocation_id:
        return None
    found = _of_build(search, f"landing.raw_{seen.entity_type}", "*", seen.record_number)
    return next((row for row in found if row["source_sha256"] == seen.run.source_sha256), None)


def _of_last_build(search: Search, told: Told, landed: Row) -> Told:
    """Add what only the last build has: payload, the record from landing, and what the run itself does not keep."""
    seen, changes, issues, payload = told.seen, told.changes, told.issues, None
    name, number = f"validation.int_{seen.entity_type}", seen.record_number
    if not seen.run_id:
        issues = tuple(Issue(**row) for row in _of_build(search, f"{name}_issues", _columns(Issue), number))
    if not changes:
        changes = tuple(Change(**row) for row in _of_build(search, f"{name}_changes", _columns(Change), number))
    sent = (seen.run.source_sha256, seen.record_hash, seen.run.invocation_id)
    for row in _of_build(search, search.payloads.get(seen.entity_type, ""), "*", number):
        is_of_build = (row["source_sha256"], row["record_hash"], row["invocation_id"]) == sent
        if is_of_build and search.is_as_tested(seen.entity_type, seen.run.invocation_id):
            payload = {name: value for name, value in row.items() if name not in _LINEAGE}
    names, text = list(landed), landed["raw_record"]
    cells = None if text else {name: landed[name] for name in names[names.index(_CELLS_AFTER) + 1 :]}
    raw = Raw(text, cells, "landing", 0, None)
    return replace(told, raw=raw, changes=changes, issues=issues, is_last_build=True, payload=payload)


def _of_build(search: Search, relation: str, columns: str, number: int) -> list[Row]:
    if relation not in search.relations:
        return []
    return fetch(search.connection, f"select {columns} from {relation} where record_number = ?", [number])  # noqa: S608


def _last_line(search: Search, seen: Sighting) -> int | None:
    """Return the line before the one on which the next record begins; None for the last record."""
    relation = "audit.fct_records" if seen.run_id else f"validation.int_{seen.entity_type}_records"
    of_run, parameters = ("and run_id = ?", [seen.run_id]) if seen.run_id else ("", [])
    query = f"select line_number from {relation} where record_number = ? {of_run} and line_number is not null"  # noqa: S608
    following = fetch(search.connection, query, [seen.record_number + 1, *parameters])
    return following[0]["line_number"] - 1 if following else None


# The text of the record, from the source file.

# What a workbook begins with.
_ZIP = b"PK\x03\x04"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class SourceText:
    """What a file has: its number of lines and the text of each span, or `refusal`, why it does not tell any more."""

    lines: int
    texts: dict[Span, str]
    refusal: str | None = None


def read_spans(path: Path, sha256: str, encoding: str | None, spans: set[Span]) -> SourceText:
    """Return the text of these spans, without the blank lines at their end; the file has to be the one of this hash."""
    try:
        if not path.is_file():
            return SourceText(0, {}, f"the file is not there any more: {path}, SHA-256 {sha256}")
        with path.open("rb") as file:
            beginning = file.read(4)
            file.seek(0)
            if beginning == _ZIP and hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return SourceText(0, {}, f"the file is a workbook, of whose sheet the line is the row: {path}")
        unnamed = "utf-16" if beginning[:2] in _UTF16_MARKS else "utf-8"
        with open_source(path, Dialect(encoding=encoding or unnamed), load_settings().source) as source:
            if source.sha256 == sha256:
                return _texts(source.data, spans)
    except OSError as error:
        return SourceText(0, {}, f"the file cannot be read any more ({error.strerror}): {path}, SHA-256 {sha256}")
    except SourceRefused:
        return SourceText(0, {}, f"the file is not the one that was read any more: {path}, SHA-256 {sha256}")
    return SourceText(0, {}, f"the file has changed since: {path}, its SHA-256 was {sha256}")


def _texts(data: mmap, spans: set[Span]) -> SourceText:
    wanted = {line for first, last in spans for line in (first, (last or 0) + 1)}
    offsets, lines, end = {}, 0, 0
    while end < len(data):
        lines += 1
        if lines in wanted:
            offsets[lines] = end
        end = data.find(b"\n", end) + 1 or len(data)
    texts = {}
    for span in spans:
        first, after = offsets.get(span.first, end), offsets.get((span.last or end) + 1, end)
        texts[span] = data[first:after].rstrip(b"\r\n").decode("utf-8", "backslashreplace")
    return SourceText(lines, texts)


def _with_text(held: Sequence[Told]) -> list[Told]:
    """Return the sightings with the record's own text, else with that of landing. Each file is read once."""
    spans: defaultdict[tuple[str | None, str | None, str | None], set[Span]] = defaultdict(set)
    for told in held:
        spans[_file(told.seen.run)].add(told.span)
    nothing = SourceText(0, {}, "no file was noted for this run")
    read = {
        (path, sha256, encoding): read_spans(Path(path), sha256, encoding, of_file) if path and sha256 else nothing
        for (path, sha256, encoding), of_file in spans.items()
    }
    complete = []
    for told in held:
        source = read[_file(told.seen.run)]
        raw = replace(told.raw, lines=source.lines, note=source.refusal)
        if (text := source.texts.get(told.span)) is not None:
            raw = Raw(text, None, "source file", source.lines, None)
        complete.append(replace(told, raw=raw))
    return complete


def _file(run: KnownRun) -> tuple[str | None, str | None, str | None]:
    return run.source_file, run.source_sha256, run.encoding or None
