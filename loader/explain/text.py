"""Prints the story of a record, run by run, oldest first."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from loader.console import Console, shown
from loader.explain.story import Attempt, Raw, Sighting, Told
from loader.explain.verdict import verdict
from loader.reports.advice import Step

# A description may have 20,000 characters; a person wants to know which one it is.
_SHOWN_CHARACTERS = 300
# Labels and texts of a sighting.
Lines = Iterator[tuple[str, str]]
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
    for one, before in zip(told, (None, *told), strict=False):
        run = one.seen.run
        began = f" of {_moment(run.start_time)}" if run.start_time else ""
        environment = f" to {run.environment}" if run.mode == "import" else ""
        by = f" by {run.operator}" if run.operator else ""
        console.line()
        console.line(f"{one.seen.run_id or run.invocation_id}: {run.mode}{environment}{began}{by}")
        for label, text in _lines(one, before):
            _print(console, label, text)
    console.line()
    console.line(str(step))


def _lines(told: Told, before: Told | None) -> Lines:
    """Yield the labelled texts of a sighting; what did not change since the one before it is not repeated."""
    seen, file = told.seen, told.seen.run.source_file
    yield "file", f"{shown(file) if file else 'not noted'}, line {seen.line_number}, record {seen.record_number}"
    if before and (before.raw, before.seen.record_hash) == (told.raw, seen.record_hash):
        yield "raw", _SAME
    else:
        yield from _raw(told.raw)
    yield from _changes(told, before)
    for issue in told.issues:
        yield issue.severity, f"{issue.code}: {issue.message}"
        yield "", f"fix: {issue.how_to_fix}" + (f"; suggested: {issue.suggestion}" if issue.suggestion else "")
    if seen.exception_reason:
        yield "exception", seen.exception_reason
    yield from _payload(told, before)
    yield from _delivery(seen, told.attempts)
    yield "verdict", verdict(seen)


def _raw(raw: Raw) -> Lines:
    if raw.note:
        yield "source", raw.note + ("; from landing" if raw.found_in == "landing" else "")
    if raw.text is not None:
        yield "raw", raw.text
    for name, cell in (raw.cells or {}).items():
        yield "cell", f"{name}: {cell!r}"


def _changes(told: Told, before: Told | None) -> Lines:
    if told.seen.run.mode == "validate-only" and not told.is_last_build:
        yield "changed", "a validation does not keep which cells were changed, a dry-run or an import does"
    elif told.changes and before and told.changes == before.changes:
        yield "changed", _SAME
    else:
        for change in told.changes:
            yield "changed", f"{change.field}, {change.rule}: {change.before!r} -> {change.after!r}"


def _payload(told: Told, before: Told | None) -> Lines:
    if told.payload and before and told.payload == before.payload:
        yield "payload", _SAME
    elif told.payload:
        for name, value in told.payload.items():
            yield "payload", f"{name}: {value!r}"
    elif told.seen.status == "valid":
        yield "payload", "it is not there any more: a later dbt build has replaced it, or somebody has changed it"


def _delivery(seen: Sighting, attempts: Sequence[Attempt]) -> Lines:
    outcome = seen.outcome
    requests = outcome.attempts if outcome else 0
    if seen.intents and not attempts and not requests:
        about = _moment(seen.intents[0].intended_at)
        yield "intent", f"it was about to be sent at {about}; what came of it was not written"
    for attempt in attempts:
        yield f"attempt {attempt.attempt}", _attempt(attempt)
    if requests and not attempts:
        yield "attempts", f"{requests} requests, written before each of them was kept"
    if outcome and outcome.api_id:
        yield "id", f"{outcome.api_id} on the platform"
    if outcome and outcome.error_message and not attempts:
        yield "answer", outcome.error_message
    for check in seen.readback:
        fields = f": {check.differing_fields}" if check.differing_fields else ""
        yield "read back", f"{check.verdict}{fields}, at {_moment(check.verified_at)}"


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
    console.line(f"  {label:<10} {first}")
    for line in more:
        console.line(f"  {'':<10} | {line}")
