"""Posts the records of one batch with a bounded pool of workers and returns what became of each."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime

from loader.api import Answer, Api, Loss
from loader.config import Delivery
from loader.pacing import Pace
from loader.payload import PayloadRecord
from loader.retry import Action, Result, Verdict, backoff, judge
from loader.steps import Step, step


@dataclass(frozen=True)
class Outcome:
    """What became of one record; `attempts` counts the requests sent, `response_time_ms` is that of the last one."""

    record: PayloadRecord
    result: Result
    attempts: int = 0
    status_code: int | None = None
    response_time_ms: float | None = None
    confirmed_by: str | None = None
    api_id: str | None = None
    error_message: str | None = None
    attempted_at: datetime | None = None


@dataclass(frozen=True)
class Route:
    """Where and how records are posted: path of the endpoint, name of the key field, the operator's settings."""

    endpoint: str
    key: str
    delivery: Delivery


def deliver(
    api: Api, route: Route, pace: Pace, records: Sequence[PayloadRecord], progress: Callable[[Outcome], None]
) -> list[Outcome]:
    """Post the records; return one outcome each, in their order. Never raises for an answer or the lack of one.

    `progress` is called with each outcome as it becomes known, always by the calling thread.
    """
    with ThreadPoolExecutor(max_workers=route.delivery.max_concurrency) as workers:
        sent = [workers.submit(deliver_record, api, route, pace, record) for record in records]
        for done in as_completed(sent):
            progress(done.result())
        return [future.result() for future in sent]


def deliver_record(api: Api, route: Route, pace: Pace, record: PayloadRecord) -> Outcome:
    """Post one record until its outcome is known, the attempts are used up, or the run is stopping."""
    outcome, failures = Outcome(record, Result.NOT_ATTEMPTED), 0
    while pace.wait():
        with step(Step.SEND):
            answer = api.post(route.endpoint, record.body)
        verdict = judge(
            answer,
            route.key,
            record.reference_number,
            may_be_ours=record.may_be_ours or outcome.result is Result.UNKNOWN,
        )
        outcome = _outcome(record, outcome, answer, verdict)
        if verdict.action is Action.WAIT:
            pace.limit_reached()
            continue
        if verdict.action is Action.STOP:
            pace.stop(verdict.message or "stopped")
            break
        if verdict.action is Action.SETTLE:
            pace.answered()
            break
        failures += 1
        pace.lost(route.delivery.stop_after_lost_answers, verdict.message or "")
        if failures >= route.delivery.max_attempts:
            break
        pace.pause(backoff(failures, route.delivery.backoff_seconds, route.delivery.backoff_max_seconds))
    return outcome


def _outcome(record: PayloadRecord, before: Outcome, answer: Answer, verdict: Verdict) -> Outcome:
    return Outcome(
        record,
        verdict.result,
        attempts=before.attempts + (answer.loss is not Loss.NOT_SENT),
        status_code=answer.status,
        response_time_ms=answer.milliseconds,
        confirmed_by=verdict.confirmed_by,
        api_id=verdict.api_id,
        error_message=verdict.message,
        attempted_at=datetime.now(UTC).replace(tzinfo=None),
    )
