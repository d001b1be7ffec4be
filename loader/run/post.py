"""Posts the payload, batch after batch: intents are committed before the first request, outcomes after the last answer.

So a kill at any instant leaves every record with an outcome, with an intent, or never sent. Of those with an intent
only the ones whose request had begun are `unknown`.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice

from loader.delivery.begun import noting
from loader.delivery.record import Outcome, PayloadRecord
from loader.delivery.resume import (
    POSTING_ENDED,
    POSTING_STARTED,
    PROCESS,
    SERVER_CLOCK,
    Memory,
    Plan,
    carry_over,
    close_unfinished,
    counts,
    plan,
)
from loader.delivery.stopwatch import Posting
from loader.delivery.verdict import Result
from loader.delivery.workers import Route, Workers
from loader.run.job import Run, Target
from loader.run.ledger import commit_intents, commit_outcomes, run_start
from loader.run.payload import REPLACED, read_batch
from loader.steps import Step, step
from loader.storage.process import Process


def close_dead_runs(run: Run) -> None:
    """Account for the runs that never ended, before this one opens; raises StoppedEarly where one may still post."""
    with step(Step.CLOSE_UNFINISHED):
        for row, assumed in close_unfinished(run.warehouse, run.journal, run.settings.warehouse.other_host_hours):
            run.console.notice(
                f"run {row.run_id} ended without finishing{assumed}: {row.unknown_records} unknown, "
                f"{row.not_attempted_records} not attempted; what is unknown is settled first"
            )


def post(run: Run, target: Target) -> None:
    """Post what earlier runs have left, in their order; `run.results` grows with every settled record."""
    left = _prepared(run, target)
    last = max(left.numbers, default=0)
    with noting(run.warehouse.path, run.run_id, last) as note, run.signals.handled(run.pace):
        _deliver(run, target, left, Route(run.job.card, run.settings.delivery, note))
    run.posting = Posting(
        **vars(run.pace.spent()),
        requests=run.pace.requests,
        refused_requests=run.pace.refused,
        requests_per_window=run.pace.requests_per_window,
        peak_concurrency=run.pace.peak_concurrency,
    )
    run.journal.note(POSTING_ENDED, **vars(run.posting))


def _deliver(run: Run, target: Target, left: Plan, route: Route) -> None:
    memory = Memory(run.warehouse, run.pace, run_start(run), route)
    total, done = run.totals.ready_records, run.results.total()
    text = f"posting to {run.job.environment}"
    with run.console.progress(text, total, done, lambda: run.pace.spent().shares()) as meter:

        def settled(outcome: Outcome) -> None:
            run.results[outcome.result] += 1
            if outcome.result is not Result.NOT_ATTEMPTED:
                counted = [entry for entry in run.results.items() if entry[0] is not Result.NOT_ATTEMPTED and entry[1]]
                meter.advance(", ".join(f"{result.value} {count}" for result, count in counted))

        with Workers(target.api, route, run.pace) as workers:
            for outcomes in workers.deliver(_intended(run, left), settled):
                with step(Step.COMMIT_OUTCOMES):
                    commit_outcomes(run.warehouse, run.journal, outcomes)
                memory.keep()


def _prepared(run: Run, target: Target) -> Plan:
    start, warehouse = run_start(run), run.warehouse
    # The probe's answers have told it.
    ahead = target.api.server_clock.ahead
    ahead_seconds = ahead.total_seconds() if ahead is not None else 0.0
    run.journal.note(SERVER_CLOCK, ahead_seconds=ahead_seconds)
    run.journal.note(POSTING_STARTED, **vars(start), **{PROCESS: asdict(Process.this())})
    with step(Step.CARRY_OVER):
        before = carry_over(warehouse, start, run.job.card, run.journal, retry_failed=run.job.retry_failed)
    with warehouse.connection(read_only=True) as connection:
        run.results.update({Result(name): records for name, records in counts(connection, run.run_id).items()})
    if before:
        run.console.notice(f"goes on with run {before}: {run.results.total()} records are settled by it")
    left = plan(warehouse, start, run.job.card, ahead_seconds)
    if run.results.total() + len(left.numbers) != run.totals.ready_records:
        run.pace.stop(REPLACED)
    return left


def _intended(run: Run, left: Plan) -> Iterator[list[PayloadRecord]]:
    """Yield batch after batch, each with its intents committed."""
    numbers, at = iter(left.numbers), 0
    while (batch := list(islice(numbers, run.job.batch_size))) and not run.pace.stopping:
        if at and not run.pace.pause(run.settings.delivery.batch_delay_seconds):
            return
        first, at = at, at + len(batch)
        records = read_batch(run.warehouse, run.job.card, run.totals.invocation_id, batch)
        if len(records) != len(batch):
            run.pace.stop(REPLACED)
            return
        records = [
            replace(
                record,
                in_doubt_since=left.in_doubt[place] if place < len(left.in_doubt) else None,
                is_there=place >= len(left.numbers) - left.there,
            )
            for place, record in enumerate(records, first)
        ]
        with step(Step.COMMIT_INTENTS):
            commit_intents(run.warehouse, run.journal, records)
        yield records
