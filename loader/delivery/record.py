"""What became of a record, request by request."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from loader.api.answer import Answer, Loss
from loader.delivery.verdict import Action, Result, Verdict


@dataclass(frozen=True)
class PayloadRecord:
    """One row of the payload: where it came from, its key and its body.

    `in_doubt_since`: an earlier run may have stored it without knowing, by a request that it sent at this time of the
    server's clock or later. `is_there`: an earlier run saw it on the platform.
    """

    record_number: int
    line_number: int
    record_hash: str
    reference_number: str
    body: dict[str, Any]
    in_doubt_since: datetime | None = None
    is_there: bool = False


@dataclass(frozen=True)
class Attempt:
    """One request for a record and its answer; `waited_ms` is from when the record was at hand until it was sent."""

    sent_at: datetime
    waited_ms: float
    response_time_ms: float
    was_sent: bool
    status_code: int | None
    next_action: Action
    message: str | None


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
    tried: tuple[Attempt, ...] = ()

    @property
    def in_doubt_since(self) -> datetime | None:
        """Return when the first request of this run was sent that may have stored the record; None when none has."""
        return next((sent.sent_at for sent in self.tried if sent.was_sent and sent.next_action is Action.RETRY), None)


def next_outcome(record: PayloadRecord, before: Outcome, answer: Answer, verdict: Verdict, at_hand: float) -> Outcome:
    """Return what is known of a record after one more answer, which has just come.

    `at_hand` is the value of `time.monotonic()` when the record could have been sent.
    """
    ended, was_sent = datetime.now(UTC).replace(tzinfo=None), answer.loss is not Loss.NOT_SENT
    attempt = Attempt(
        sent_at=ended - timedelta(milliseconds=answer.milliseconds),
        waited_ms=round(max((time.monotonic() - at_hand) * 1000 - answer.milliseconds, 0.0), 1),
        response_time_ms=answer.milliseconds,
        was_sent=was_sent,
        status_code=answer.status,
        next_action=verdict.action,
        message=verdict.message,
    )
    return Outcome(
        record,
        verdict.result,
        attempts=before.attempts + was_sent,
        status_code=answer.status,
        response_time_ms=answer.milliseconds,
        confirmed_by=verdict.confirmed_by,
        api_id=verdict.api_id,
        error_message=verdict.message,
        attempted_at=ended,
        tried=(*before.tried, attempt),
    )
