"""Posts records with a bounded number of workers and returns what became of each."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from queue import SimpleQueue
from threading import Thread
from typing import Self

from loader.api.answer import Answer
from loader.api.client import Api
from loader.card import Card
from loader.config import Delivery
from loader.delivery.look_up import LookUp
from loader.delivery.pace import Pace
from loader.delivery.record import Outcome, PayloadRecord, next_outcome
from loader.delivery.verdict import Action, Result, Verdict, backoff, judge
from loader.steps import Step, step

# How long it takes to commit a batch and to take the next one, before it has been measured.
_FIRST_REFILL_SECONDS = 0.25


@dataclass(frozen=True)
class Route:
    """Where and how records are posted; `begins` is called with a record's number before each request for it."""

    card: Card
    delivery: Delivery
    begins: Callable[[int], None] = lambda _: None


class Workers:
    """The threads that post, for the length of a run.

    They end with the program: after an error or a second Ctrl-C nobody waits for what they have under way. It has an
    intent, so the next run settles it.
    """

    def __init__(self, api: Api, route: Route, pace: Pace) -> None:
        self._pace = pace
        self._delay = route.delivery.batch_delay_seconds
        self._refill_seconds = _FIRST_REFILL_SECONDS
        self._answered = 0
        self._begun = time.monotonic()
        self._records: SimpleQueue[PayloadRecord | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome | BaseException] = SimpleQueue()
        look_up = LookUp(api, route.card, pace.companion(), route.delivery)
        deliver = partial(deliver_record, api, route, pace, look_up)
        self._threads = [
            Thread(target=self._work, args=[deliver], daemon=True) for _ in range(route.delivery.max_concurrency)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error:
            self._pace.stop("an error ended the run")
        for _ in self._threads:
            self._records.put(None)
        for thread in self._threads if error is None else ():
            thread.join()

    def deliver(
        self, batches: Iterator[Sequence[PayloadRecord]], settled: Callable[[Outcome], None]
    ) -> Iterator[list[Outcome]]:
        """Post batch after batch; yield the outcomes as they are to be committed. Never raises for an answer.

        The next batch is taken when the workers would soon have nothing to do, but not before half of the last one is
        done; what is known by then is yielded first. `settled` is called with each outcome, by the calling thread.
        """
        outcomes: list[Outcome] = []
        batch: Sequence[PayloadRecord] = ()
        more, under_way = True, 0
        while more or under_way:
            if more and under_way < self._enough(len(batch)):
                begun = time.monotonic()
                if outcomes:
                    yield outcomes
                    outcomes = []
                batch = next(batches, ())
                self._refill_seconds = time.monotonic() - begun if self._answered else self._refill_seconds
                more, under_way = bool(batch), under_way + len(batch)
                for record in batch:
                    self._records.put(record)
                continue
            outcome = self._outcomes.get()
            if isinstance(outcome, BaseException):
                raise outcome
            outcomes.append(outcome)
            settled(outcome)
            under_way -= 1
            self._answered += 1
        if outcomes:
            yield outcomes

    def _enough(self, batch_size: int) -> int:
        """Return how few records may be left to send before the next batch is taken: those of two such pauses."""
        if self._delay:
            return 1
        a_second = self._answered / max(time.monotonic() - self._begun, 1.0)
        needed = max(2 * self._pace.concurrency - 1, int(2 * self._refill_seconds * a_second))
        return max(1, min(needed, batch_size // 2))

    def _work(self, deliver: Callable[[PayloadRecord], Outcome]) -> None:
        while record := self._records.get():
            try:
                self._outcomes.put(deliver(record))
            except BaseException as error:
                self._outcomes.put(error)
                raise


def deliver_record(api: Api, route: Route, pace: Pace, look_up: LookUp, record: PayloadRecord) -> Outcome:
    """Post one record until its outcome is known, the attempts or the time are used up, or the run is stopping."""
    delivery, outcome = route.delivery, Outcome(record, Result.NOT_ATTEMPTED)
    failures, seconds, resent, at_hand = 0, 0.0, False, time.monotonic()
    while answer := pace.send(partial(_post, api, route, record)):
        verdict = _verdict(api, route.card, look_up, outcome, answer)
        first_401 = answer.status == HTTPStatus.UNAUTHORIZED != outcome.status_code
        outcome, at_hand = next_outcome(record, outcome, answer, verdict, at_hand), time.monotonic()
        if (first_401 and api.refresh_token(answer)) or verdict.action is Action.WAIT:
            continue
        if verdict.action is Action.STOP:
            pace.stop(verdict.message or "stopped")
            break
        if verdict.action is Action.SETTLE:
            pace.answered()
            break
        seconds += answer.milliseconds / 1000
        if answer.stale and not resent:
            resent = True
            continue
        failures += 1
        pace.lost(delivery.stop_after_lost_answers, verdict.message or "")
        if failures >= delivery.max_attempts or seconds >= delivery.max_seconds_per_record:
            break
        wait = backoff(failures, delivery.backoff_seconds, delivery.backoff_max_seconds)
        seconds += wait
        pace.back_off(wait)
    return outcome


def _verdict(api: Api, card: Card, look_up: LookUp, before: Outcome, answer: Answer) -> Verdict:
    """Return what an answer means, after what is known of the record so far."""
    record = before.record
    in_doubt = record.in_doubt_since is not None or before.result is Result.UNKNOWN
    verdict = judge(answer, card, record.reference_number, may_be_ours=in_doubt and not record.is_there)
    if verdict.action is not Action.LOOK_UP:
        return verdict
    ahead, first = api.server_clock.ahead, before.in_doubt_since
    by_server = first + ahead if first and ahead is not None else None
    return look_up.verdict(record, answer, record.in_doubt_since or by_server)


def _post(api: Api, route: Route, record: PayloadRecord) -> Answer:
    route.begins(record.record_number)
    with step(Step.SEND):
        return api.post(route.card.endpoint, record.body)
