"""Prints the story of a record, run by run, oldest first."""

from collections.abc import Sequence
from datetime import datetime

from loader.console import Console, shown
from loader.explain.story import Attempt, Raw, Sighting, Told
from loader.explain.verdict import verdict
from loader.reports.advice import Step

# A description may have 20,000 characters; a person wants to know which one it is.
_SHOWN_CHARACTERS = 300
_LABEL = 10
_SAME = "the same as before"
_NOTABLE_MS = 100
_MEANING = {
    "settle": "which settles it",
    "retry": "which settles nothing",
    "wait": "the rate limit, so it is sent again",
    "stop": "which stops the run",
}


def print_story(console: Console, asked: str, told: Sequence[Told], last: Sighting, left_out: str, step: Step) -> None:
    """Write the sightings, oldest first.

    `last` says what became of the record, `left_out` which sightings are not among them, `step` what to do next.
    """
    name = last.reference_number or f"record {last.record_number}"
    console.line(f"{name} ({last.entity_type}): {verdict(last)}")
    if asked != name:
        console.line(f"found as {asked}")
    if left_out:
        console.line(left_out)
    before = None
    for one in told:
        _print_sighting(console, one, before)
        before = one
    console.line()
    console.line(str(step))


def _print_sighting(console: Console, told: Told, before: Told | None) -> None:
    """Write one sighting; what did not change since the one before it is not repeated."""
    seen, run = told.seen, told.seen.run
    began = f" of {_moment(run.start_time)}" if run.start_time else ""
    environment = f" to {run.environment}" if run.mode == "import" else ""
    by = f" by {run.operator}" if run.operator else ""
    console.line()
    console.line(f"{seen.run_id or run.invocation_id}: {run.mode}{environment}{began}{by}")
    file = shown(run.source_file) if run.source_file else "not noted"
    _print(console, "file", f"{file}, line {seen.line_number}, record {seen.record_number}")
    if before and (before.raw, before.seen.record_hash) == (told.raw, seen.record_hash):
        _print(console, "raw", _SAME)
    else:
        _print_raw(console, told.raw)
    _print_changes(console, told, before)
    for issue in told.issues:
        _print(console, issue.severity, f"{issue.code}: {issue.message}")
        suggestion = f"; suggested: {issue.suggestion}" if issue.suggestion else ""
        _print(console, "", f"fix: {issue.how_to_fix}{suggestion}")
    if seen.exception_reason:
        _print(console, "exception", seen.exception_reason)
    _print_payload(console, told, before)
    _print_delivery(console, seen, told.attempts)
    _print(console, "verdict", verdict(seen))


def _print_raw(console: Console, raw: Raw) -> None:
    if raw.note:
        landed = "; from landing" if raw.found_in == "landing" else ""
        _print(console, "source", f"{raw.note}{landed}")
    if raw.text is not None:
        _print(console, "raw", raw.text)
    for name, cell in (raw.cells or {}).items():
        _print(console, "cell", f"{name}: {cell!r}")


def _print_changes(console: Console, told: Told, before: Told | None) -> None:
    changes = told.changes
    if told.seen.run.mode == "validate-only" and not told.is_last_build:
        _print(console, "changed", "a validation does not keep which cells were changed, a dry-run or an import does")
    elif changes and before and changes == before.changes:
        _print(console, "changed", _SAME)
    else:
        for change in changes:
            _print(console, "changed", f"{change.field}, {change.rule}: {change.before!r} -> {change.after!r}")


def _print_payload(console: Console, told: Told, before: Told | None) -> None:
    payload = told.payload
    if payload and before and payload == before.payload:
        _print(console, "payload", _SAME)
        return
    for name, value in (payload or {}).items():
        _print(console, "payload", f"{name}: {value!r}")
    if told.seen.status == "valid" and not payload:
        _print(console, "payload", "it is not there any more: a later dbt build has replaced it")


def _print_delivery(console: Console, seen: Sighting, attempts: Sequence[Attempt]) -> None:
    outcome = seen.outcome
    requests = outcome.attempts if outcome else 0
    if seen.intents and not attempts and not requests:
        about = _moment(seen.intents[0].intended_at)
        _print(console, "intent", f"it was about to be sent at {about}; what came of it was not written")
    for attempt in attempts:
        _print(console, f"attempt {attempt.attempt}", _attempt(attempt))
    if requests and not attempts:
        _print(console, "attempts", f"{requests} requests, written before each of them was kept")
    if outcome and outcome.api_id:
        _print(console, "id", f"{outcome.api_id} on the platform")
    if outcome and outcome.error_message and not attempts:
        _print(console, "answer", outcome.error_message)
    for check in seen.readback:
        fields = f": {check.differing_fields}" if check.differing_fields else ""
        _print(console, "read back", f"{check.verdict}{fields}, at {_moment(check.verified_at)}")


def _attempt(attempt: Attempt) -> str:
    sent = f"{attempt.sent_at:%H:%M:%S.%f}"[:-3]
    waited = f"after waiting {attempt.waited_ms / 1000:,.1f} s, " if attempt.waited_ms >= _NOTABLE_MS else ""
    status = attempt.status_code or ("no answer" if attempt.was_sent else "not sent")
    words = f": {attempt.message}" if attempt.message else ""
    return f"{sent} {waited}{status} in {attempt.response_time_ms:,.0f} ms, {_MEANING[attempt.next_action]}{words}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _print(console: Console, label: str, text: str) -> None:
    """Write a labelled text, shortened; its further lines get a mark, so that no data looks like a line of ours."""
    rest = len(text) - _SHOWN_CHARACTERS
    if rest > 0:
        text = f"{text[:_SHOWN_CHARACTERS]}... ({rest:,} more characters; --json has them)"
    first, *more = text.splitlines() or [""]
    console.line(f"  {label:<{_LABEL}} {first}")
    for line in more:
        console.line(f"  {'':<{_LABEL}} | {line}")
