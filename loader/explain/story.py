"""Gathers what the tables hold of a record: of each run that saw it, everything in the order in which it happened."""

import codecs
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loader.errors import SourceRefused
from loader.explain.find import Trail
from loader.landing.encoding import Recoder
from loader.landing.source import CHUNK_BYTES
from loader.storage.warehouse import TEXTS, Row, fetch, in_bulk

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Span:
    """The lines of a file from `first` on, both from 1, up to `last`; None is the end of the file."""

    first: int
    last: int | None


@dataclass(frozen=True)
class SourceText:
    """What a file has: its number of lines and the text of each span, or `refusal`, why it does not tell any more."""

    lines: int
    texts: dict[Span, str]
    refusal: str | None = None


def read_spans(path: Path, sha256: str, encoding: str | None, spans: set[Span]) -> SourceText:
    """Return the text of these spans, without the blank lines at their end.

    The file is read once, to its end: only then is it known to be the one with this SHA-256.
    """
    digest, line, parts, ends_in_break = hashlib.sha256(), 1, dict.fromkeys(spans, b""), True
    try:
        if not path.is_file():
            return SourceText(0, {}, f"the file is not there any more: {path}, SHA-256 {sha256}")
        with path.open("rb") as file:
            chunk = file.read(CHUNK_BYTES)
            recoder = Recoder(path, encoding or ("utf-16" if chunk.startswith(_UTF16_MARKS) else None))
            while chunk:
                digest.update(chunk)
                following = file.read(CHUNK_BYTES)
                text = recoder.recode(chunk, final=not following)
                for span in spans:
                    parts[span] += _part(text, line, span)
                line, chunk = line + text.count(b"\n"), following
                ends_in_break = text.endswith(b"\n")
    except OSError as error:
        return SourceText(0, {}, f"the file cannot be read any more ({error.strerror}): {path}, SHA-256 {sha256}")
    except SourceRefused:
        return SourceText(0, {}, f"the file is not the one that was read any more: {path}, SHA-256 {sha256}")
    if digest.hexdigest() != sha256:
        return SourceText(0, {}, f"the file has changed since: {path}, its SHA-256 was {sha256}")
    texts = {span: part.rstrip(b"\r\n").decode("utf-8", "backslashreplace") for span, part in parts.items()}
    return SourceText(line - ends_in_break, texts)


def _part(text: bytes, line: int, span: Span) -> bytes:
    """Return what a chunk that begins in `line` has of a span."""
    breaks = text.count(b"\n")
    if span.first > line + breaks or (span.last is not None and span.last < line):
        return b""
    start = _offset(text, span.first - line)
    end = len(text) if span.last is None or span.last >= line + breaks else _offset(text, span.last + 1 - line)
    return text[start:end]


def _offset(text: bytes, breaks: int) -> int:
    """Return where the line after so many line breaks begins; 0 for none or fewer."""
    position = 0
    for _ in range(breaks):
        position = text.index(b"\n", position) + 1
    return position


Key = tuple[str | None, int]
# Of each table the columns that say more than which record of which run it is, and their order. The first three are
# few and tell where the record stands, the others are its particulars.
_STANDING = {
    "outcomes": (
        "fct_import_records",
        "result, confirmed_by, status_code, attempts, response_time_ms, api_id, error_message, attempted_at",
        "attempted_at",
    ),
    "intents": ("fct_intents", "intended_at", "intended_at"),
    "readback": ("fct_readback", "is_ours, verdict, differing_fields, status_code, verified_at", "verified_at"),
}
_PARTICULARS = {
    "changes": ("fct_changes", "field, before, after, rule", "field"),
    "issues": (
        "fct_issues",
        "severity, code, field, value, counted, allowed, suggestion, message, how_to_fix",
        "severity, code, field",
    ),
    "attempts": (
        "fct_attempts",
        "attempt, sent_at, waited_ms, response_time_ms, was_sent, status_code, next_action, message",
        "attempt",
    ),
}
_LINEAGE = ("record_number", "line_number", "record_hash", "source_file", "source_sha256", "invocation_id")
_CELLS_AFTER = "other_cells"


def standing(trail: Trail, sightings: Sequence[Row]) -> list[Row]:
    """Return the sightings with their run and with what became of the record in it: `outcome`, None without one."""
    told: list[Row] = []
    for sighting in sightings:
        run = trail.runs[sighting["run_id"]] if sighting["run_id"] else trail.builds[sighting["entity_type"]]
        told.append({name: value for name, value in sighting.items() if name != "place"} | {"run": run})
    _add(trail, told, _STANDING)
    _add_rejected_file(trail, told)
    for at, seen in enumerate(told):
        seen["outcome"] = next(iter(seen.pop("outcomes")), None)
        seen["settled_by"] = _settled_by(seen, told[:at])
    return told


def _add(trail: Trail, sightings: Sequence[Row], tables: dict[str, tuple[str, str, str]]) -> None:
    for name, (table, columns, order) in tables.items():
        rows = _by_key(trail.connection, table, columns, order, sightings)
        for seen in sightings:
            seen[name] = rows[_key(seen)]


def _settled_by(seen: Row, before: Sequence[Row]) -> str | None:
    """Return the run that a carried outcome is from: the last one there that sent the same record."""
    if not seen["outcome"] or seen["outcome"]["confirmed_by"] != "earlier_run":
        return None
    sent = (
        earlier["run_id"]
        for earlier in reversed(before)
        if earlier["outcome"]
        and earlier["outcome"]["confirmed_by"] != "earlier_run"
        and (earlier["run"]["address"], earlier["record_hash"]) == (seen["run"]["address"], seen["record_hash"])
    )
    return next(sent, None)


def tell(trail: Trail, sightings: Sequence[Row]) -> None:
    """Add to each sighting what the tables and the last build hold of it, and `span`, its lines in the source file."""
    _add(trail, sightings, _PARTICULARS)
    for seen in sightings:
        last = trail.last.get(seen["entity_type"])
        seen["is_last_build"] = last is not None and last["invocation_id"] == seen["run"]["invocation_id"]
        _add_last_build(trail, seen)
        seen["span"] = Span(seen["line_number"], _last_line(trail, seen))


def _add_last_build(trail: Trail, seen: Row) -> None:
    """Add what only the last build has: the payload, the changed cells of a run that does not keep them."""
    entity, number = seen["entity_type"], seen["record_number"]
    seen["payload"], seen["landed"] = None, None
    landed = _landed(trail, seen) if seen["is_last_build"] else None
    # A build that stopped half-way has landed another file, while the totals are still those of the one before.
    seen["is_last_build"] = landed is not None
    if landed is None:
        return
    if not seen["run_id"]:
        seen["issues"] = _of_build(trail, f"validation.int_{entity}_issues", _PARTICULARS["issues"][1], number)
    if not seen["changes"]:
        seen["changes"] = _of_build(trail, f"validation.int_{entity}_changes", _PARTICULARS["changes"][1], number)
    names = list(landed)
    cells = {name: landed[name] for name in names[names.index(_CELLS_AFTER) + 1 :]}
    seen["landed"] = {"text": landed["raw_record"], "cells": None if landed["raw_record"] else cells}
    sent = (landed["source_sha256"], seen["record_hash"], seen["run"]["invocation_id"])
    for relation in _payloads(trail, entity):
        for row in _of_build(trail, relation, "*", number):
            if (row["source_sha256"], row["record_hash"], row["invocation_id"]) == sent:
                seen["payload"] = {name: value for name, value in row.items() if name not in _LINEAGE}


def _landed(trail: Trail, seen: Row) -> Row | None:
    """Return the record as landing holds it; None where landing holds another one by that number."""
    found = _of_build(trail, f"landing.raw_{seen['entity_type']}", "*", seen["record_number"])
    return next((row for row in found if row["source_sha256"] == seen["run"]["source_sha256"]), None)


def _payloads(trail: Trail, entity: str) -> list[str]:
    if "contract.dim_entities" not in trail.there:
        return []
    found = fetch(trail.connection, "select payload_relation from contract.dim_entities where entity = ?", [entity])
    return [row["payload_relation"] for row in found if row["payload_relation"] in trail.there]


def _of_build(trail: Trail, relation: str, columns: str, number: int) -> list[Row]:
    if relation not in trail.there:
        return []
    return fetch(trail.connection, f"select {columns} from {relation} where record_number = ?", [number])  # noqa: S608


def _add_rejected_file(trail: Trail, sightings: Sequence[Row]) -> None:
    """Add the path of the file with the rejected records of the run, where it still stands."""
    query = (
        "select run_id, path from audit.fct_output_files "  # noqa: S608 - our own text
        f"where kind = 'rejected' and list_contains({TEXTS}, run_id)"
    )
    runs = sorted({seen["run_id"] for seen in sightings if seen["run_id"]})
    found = fetch(trail.connection, query, [in_bulk(runs)]) if runs else []
    paths = {row["run_id"]: row["path"] for row in found if Path(row["path"]).is_file()}
    for seen in sightings:
        seen["rejected_file"] = paths.get(seen["run_id"])


def read_sources(sightings: Sequence[Row]) -> None:
    """Replace `span` and `landed` by `raw`: the record's text and where it is from. Each file is read once.

    A large file takes seconds, so the caller has closed the database, which a run may need meanwhile.
    """
    wanted: dict[tuple[Any, ...], set[Span]] = defaultdict(set)
    for seen in sightings:
        wanted[_file(seen)].add(seen["span"])
    read = {
        (path, sha256, encoding): read_spans(Path(path), sha256, encoding, spans)
        for (path, sha256, encoding), spans in wanted.items()
        if path and sha256
    }
    nothing = SourceText(0, {}, "no file was noted for this run")
    for seen in sightings:
        seen["raw"] = _raw(read.get(_file(seen), nothing), seen.pop("span"), seen.pop("landed"))


def _file(seen: Row) -> tuple[Any, ...]:
    return seen["run"]["source_file"], seen["run"]["source_sha256"], seen["run"]["encoding"] or None


def _raw(source: SourceText, span: Span, landed: Row | None) -> Row:
    """Return `text` or `cells` of the record, `found_in`, `lines` of the file, and why it is not from there."""
    raw: Row = {"text": source.texts.get(span), "cells": None, "found_in": None}
    raw |= {"lines": source.lines, "note": source.refusal}
    if raw["text"] is not None:
        return raw | {"found_in": "source file"}
    return raw | landed | {"found_in": "landing"} if landed else raw


def _last_line(trail: Trail, seen: Row) -> int | None:
    """Return the line before the one on which the next record begins; None for the last record."""
    entity, run_id, after = seen["entity_type"], seen["run_id"], seen["record_number"] + 1
    relation = "audit.fct_records" if run_id else f"validation.int_{entity}_records"
    of_run = "and run_id = ?" if run_id else ""
    query = f"select line_number from {relation} where record_number = ? {of_run} and line_number is not null"  # noqa: S608
    following = fetch(trail.connection, query, [after, *([run_id] if run_id else [])])
    return following[0]["line_number"] - 1 if following else None


def _by_key(
    connection: Any, table: str, columns: str, order: str, sightings: Sequence[Row]
) -> "defaultdict[Key, list[Row]]":
    """Return the rows of an audit table that belong to these sightings."""
    keys = [_key(seen) for seen in sightings if seen["run_id"]]
    query = (
        f"select run_id, record_number, {columns} from audit.{table} "  # noqa: S608 - our own names
        f"where list_contains(from_json($runs, '[\"varchar\"]'), run_id) "
        f"and list_contains(from_json($numbers, '[\"bigint\"]'), record_number) order by {order}"
    )
    runs, numbers = sorted({str(run) for run, _ in keys}), sorted({number for _, number in keys})
    rows: defaultdict[Key, list[Row]] = defaultdict(list)
    for row in fetch(connection, query, {"runs": in_bulk(runs), "numbers": in_bulk(numbers)}) if keys else ():
        rows[row.pop("run_id"), row.pop("record_number")].append(row)
    return rows


def _key(seen: Row) -> Key:
    return seen["run_id"], seen["record_number"]
