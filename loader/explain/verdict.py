"""What a record's sightings come to: its fate in a run, where it stands, what to do next. Pure."""

from collections.abc import Sequence

from loader.explain.find import LAST_BUILD
from loader.reports.advice import again, platform_team, shown
from loader.storage.warehouse import Row

THERE = ("created", "exists")
_OPEN = ("unknown", "not_attempted")
_AGAIN = "run the same command again: nothing is created twice"
# What is written of a run once it is closed, and what can be said before.
_UNDER_WAY, _KEPT_BACK = "under way", "kept back"


def fate(seen: Row) -> str:
    """Return what became of the record in the run of a sighting.

    invalid, parse_error, duplicate, excepted, valid: it was not to be sent. created, exists, failed, unknown,
    not_attempted: as in `fct_import_records`. kept back: the gate was closed. under way: its run goes on.
    """
    if seen["status"] != "valid":
        return str(seen["status"])
    if seen["run"]["gate"] != "open":
        return _KEPT_BACK
    if seen["outcome"]:
        return str(seen["outcome"]["result"])
    if seen["run"]["mode"] != "import":
        return "valid"
    if seen["run"].get("process"):
        return _UNDER_WAY
    return "unknown" if seen["intents"] else "not_attempted"


def verdict(seen: Row) -> str:
    """Return the fate in words, with how it is known."""
    word, outcome, run = fate(seen), seen["outcome"] or {}, seen["run"]
    if outcome.get("confirmed_by") == "earlier_run":
        return f"{word}: nothing was sent, {seen['settled_by'] or 'an earlier run'} had settled it"
    if outcome.get("confirmed_by"):
        return f"{word}: answered 409 after a lost answer, and looked up: what was sent, and no older, so it is ours"
    if word == "unknown" and not outcome:
        return (
            f"{word}: it was about to be sent at {seen['intents'][0]['intended_at']:%H:%M:%S}, no outcome was written"
        )
    return {
        "excepted": f"{word}: {seen['exception_reason']}",
        "not_attempted": f"not attempted: {run['stopped_because'] or 'the run ended before its turn'}",
        _KEPT_BACK: f"valid, but nothing was posted: {run['gate']}",
        _UNDER_WAY: f"its run is under way (process {run.get('process')})",
    }.get(word, word)


def latest(sightings: Sequence[Row], at: Row | None = None) -> Row:
    """Return the sighting that says where the record stands: one of the last run, that of the line asked for, `at`.

    A repetition is not sent, so the record that is sent in its place stands for it.
    """
    last = sightings[-1] if at is None or at["run_id"] != sightings[-1]["run_id"] else at
    if last["status"] != "duplicate":
        return last
    return next((seen for seen in sightings if _is_twin(seen, last)), last)


def next_step(sightings: Sequence[Row], last: Row) -> str:
    """Return the one line that says what to do, with the command to copy where there is one.

    The sightings are of all runs, oldest first; `last` is the `latest` of them.
    """
    word, standing = fate(last), _standing(sightings, last)
    if word in ("invalid", "parse_error"):
        return _correct(last)
    if word == "duplicate":
        return "nothing to do: it is sent once"
    if word == "excepted":
        return (
            "nothing to do: it is left out on purpose; to have it sent, remove its line from "
            f"data/reference/documented_exceptions.csv, then: {_command(last, '--validate-only')}"
        )
    if word == _KEPT_BACK:
        return f"next: the gate is closed for the whole file, correct what closes it: {last['run']['gate']}"
    if word == _UNDER_WAY:
        return f"next: wait until process {last['run']['process']} has ended, then ask again"
    return _after_import(sightings, standing, last) if standing else _onwards(last)


def _after_import(sightings: Sequence[Row], standing: Row, last: Row) -> str:
    """Return what to do about a record that an import has dealt with; `last` can be a validation after it."""
    word, is_same = fate(standing), standing["record_hash"] == last["record_hash"]
    if word in _OPEN:
        asked = platform_team(standing["run"]["stopped_because"])
        first = f"{asked}; then " if asked else ""
        return f"next: {first}{_AGAIN}:\n  {_command(last, '--import')}"
    if word == "failed":
        return (
            _onwards(last)
            if not is_same
            else f"next: correct the record, then {_AGAIN}:\n  {_command(last, '--import')}"
        )
    if not is_same:
        return (
            f"next: correct it on the platform by hand: it is there as run {standing['run_id']} read it, the file has "
            "changed since, and an import never updates"
        )
    origin = next(
        (seen for seen in sightings if standing["outcome"] and seen["run_id"] == standing["settled_by"]), standing
    )
    return _proven(origin, standing["readback"] or origin["readback"])


def _proven(origin: Row, checks: Sequence[Row]) -> str:
    """Return what to do about a record that is there; `origin` is the sighting whose request was answered."""
    created = fate(origin) == "created"
    if not checks:
        how = "on the platform" if created else "on the platform; whether with these contents was not compared"
        return f"nothing to do: it is {how} (--verify with --import proves it)"
    check = checks[-1]
    if check["verdict"] == "identical":
        return "nothing to do: it is on the platform, as was read back"
    if check["is_ours"]:
        return "next: ask the platform team about it: it was created, and reading it back does not prove it"
    if check["verdict"] == "differs":
        fields = check["differing_fields"]
        return f"next: correct {fields} on the platform, or in the file: an import does not update what is there"
    return "next: ask the platform team: its reference is taken by a record that is deleted, or another tenant's"


def _onwards(last: Row) -> str:
    """Return the command after a validation or a dry-run."""
    mode = last["run"]["mode"]
    if mode == LAST_BUILD:
        return (
            "next: no run has seen this build yet: python -m loader --environment staging --validate-only "
            f"--entity-type {last['entity_type']}"
        )
    return f"next: {_command(last, '--dry-run' if mode == 'validate-only' else '--import')}"


def _correct(last: Row) -> str:
    file, line = shown(last["run"]["source_file"] or "the source"), last["line_number"]
    if rejected := last.get("rejected_file"):
        command = _command(last, "--validate-only", rejected)
        return f"next: correct it in {shown(rejected)} (line {line} of {file}) and give it back:\n  {command}"
    return f"next: correct line {line} of {file}, then: {_command(last, '--validate-only')}"


def _standing(sightings: Sequence[Row], last: Row) -> Row | None:
    """Return the last sighting by an import that dealt with the record, where `last` is about to send it."""
    words, environment = (*THERE, "failed", *_OPEN), last["run"]["environment"]
    imports = [seen for seen in sightings if environment in (None, seen["run"]["environment"])]
    return next((seen for seen in reversed(imports) if fate(seen) in words), None)


def _is_twin(seen: Row, last: Row) -> bool:
    same = (seen["run_id"], seen["record_hash"]) == (last["run_id"], last["record_hash"])
    return same and seen["status"] == "valid"


def _command(seen: Row, mode: str, rejected: str | None = None) -> str:
    return again(seen["run"] | {"entity_type": seen["entity_type"]}, mode, rejected)
