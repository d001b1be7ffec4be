"""What a record's sightings come to: its fate in a run, which sighting tells it, what to do next. Pure."""

from collections.abc import Sequence

from loader.explain.find import LAST_BUILD
from loader.explain.story import EARLIER_RUN, Sighting
from loader.reports.advice import (
    Step,
    about_readback,
    correct,
    import_again,
    onwards,
    open_gate,
    pipeline_command,
)

_THERE = ("created", "exists")
_OPEN = ("unknown", "not_attempted")
# What is written of a run once it is closed, and what can be said before.
_UNDER_WAY, _KEPT_BACK = "under way", "kept back"


def fate(seen: Sighting) -> str:
    """Return what became of the record in the run of a sighting.

    invalid, parse_error, duplicate, excepted, valid: it was not to be sent. created, exists, failed, unknown,
    not_attempted: as in `fct_import_records`. kept back: the gate was closed. under way: its run goes on.
    """
    if seen.status != "valid":
        return seen.status
    if seen.run.gate != "open":
        return _KEPT_BACK
    if seen.outcome:
        return seen.outcome.result
    if seen.run.mode != "import":
        return "valid"
    if seen.run.process:
        return _UNDER_WAY
    return "unknown" if seen.intents else "not_attempted"


def verdict(seen: Sighting) -> str:
    """Return the fate in words, with how it is known."""
    word, run = fate(seen), seen.run
    if seen.outcome and seen.outcome.confirmed_by == EARLIER_RUN:
        return f"{word}: nothing was sent, {seen.settled_by or 'an earlier run'} had settled it"
    if seen.outcome and seen.outcome.confirmed_by:
        return f"{word}: answered 409 after a lost answer, and looked up: what was sent, and no older, so it is ours"
    if word == "unknown" and not seen.outcome:
        return f"{word}: it was about to be sent at {seen.intents[0].intended_at:%H:%M:%S}, no outcome was written"
    return {
        "excepted": f"{word}: {seen.exception_reason}",
        "not_attempted": f"not attempted: {run.stopped_because or 'the run ended before its turn'}",
        _KEPT_BACK: f"valid, but nothing was posted: {run.gate}",
        _UNDER_WAY: f"its run is under way (process {run.process})",
    }.get(word, word)


def latest(sightings: Sequence[Sighting], at: Sighting | None = None) -> Sighting:
    """Return the sighting that tells what became of the record: one of the last run, that of the line asked for, `at`.

    A repetition is not sent: the record that is sent in its place tells it.
    """
    last = sightings[-1] if at is None or at.run_id != sightings[-1].run_id else at
    if last.status != "duplicate":
        return last
    sent = (last.run_id, last.record_hash, "valid")
    return next((seen for seen in sightings if (seen.run_id, seen.record_hash, seen.status) == sent), last)


def next_step(sightings: Sequence[Sighting], last: Sighting) -> Step:
    """Return what to do about the record; the sightings are of all runs, oldest first, `last` is their `latest`."""
    word, run = fate(last), last.run
    if word in ("invalid", "parse_error"):
        return correct(run, last.rejected_file, last.line_number)
    if word == "duplicate":
        return _nothing("it is sent once")
    if word == "excepted":
        how = "it is left out on purpose; to have it sent, remove its line from "
        how += "data/reference/documented_exceptions.csv, then"
        return _nothing(how, pipeline_command(run, "--validate-only"))
    if word == _KEPT_BACK:
        gate = open_gate(run, last.rejected_file)
        return Step(f"the gate is closed for the whole file: {gate.words}", gate.command)
    if word == _UNDER_WAY:
        return Step(f"wait, process {run.process} is at work on this database")
    # The last import that dealt with the record in the environment where `last` is about to send it.
    here = [seen for seen in reversed(sightings) if run.environment in (None, seen.run.environment)]
    imported = next((seen for seen in here if fate(seen) in (*_THERE, "failed", *_OPEN)), None)
    return _after_import(sightings, imported, last) if imported else _onwards(last)


def _after_import(sightings: Sequence[Sighting], imported: Sighting, last: Sighting) -> Step:
    """Return what to do about a record that an import has dealt with; `last` can be a validation after it."""
    word, is_same = fate(imported), imported.record_hash == last.record_hash
    if word in _OPEN or (word == "failed" and is_same):
        return import_again(last.run, word, imported.run.stopped_because)
    if word == "failed":
        return _onwards(last)
    if not is_same:
        return Step(
            f"correct it on the platform by hand: it is there as run {imported.run_id} read it, the file has "
            "changed since, and an import never updates"
        )
    settled_by = imported.settled_by
    origin = next((seen for seen in sightings if settled_by and seen.run_id == settled_by), imported)
    return _proven(origin, imported)


def _proven(origin: Sighting, imported: Sighting) -> Step:
    """Return what to do about a record that is there; `origin` is the sighting whose request was answered."""
    checks = imported.readback or origin.readback
    if not checks:
        compared = "" if fate(origin) == "created" else "; whether with these contents was not compared"
        return _nothing(f"it is on the platform{compared} (--verify with --import proves it)")
    check = checks[-1]
    if check.verdict == "identical":
        return _nothing("it is on the platform, as was read back")
    return Step(about_readback(check.verdict, check.differing_fields, is_ours=check.is_ours))


def _nothing(why: str, command: str = "") -> Step:
    return Step(f"nothing to do: {why}", command, is_open=False)


def _onwards(last: Sighting) -> Step:
    """Return the command after a validation or a dry-run."""
    if last.run.mode != LAST_BUILD:
        return onwards(last.run)
    command = f"python -m loader --environment staging --validate-only --entity-type {last.entity_type}"
    return Step("no run has seen this build yet", command)
