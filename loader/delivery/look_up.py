"""Looks at a record that the platform has, after an answer of ours to it was lost, and says whether it is ours.

It is ours when it can be seen, is what was sent as the platform writes it, and was created no earlier than our first
attempt, by the server's own clock. Otherwise it was there before, or others have stored it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from loader.api.answer import Answer
from loader.api.client import Api
from loader.card import Card, LookUpBy
from loader.config import Delivery
from loader.delivery.pace import Pace
from loader.delivery.readback import Listing, differing_fields, moment, search_text, with_reference
from loader.delivery.record import PayloadRecord
from loader.delivery.verdict import Action, Result, Verdict, api_id, api_message, existing_id, fitted

CONFIRMED = "conflict_after_unknown"
# `created_at` may be cut to a second, as `Date` is, and may be another machine's, whose clock differs a little.
TOLERANCE = timedelta(seconds=1)
_MAX_SEARCH_PAGES = 20
Item = Mapping[str, Any]


class LookUp:
    """Looks records up, at a pace of its own: the platform limits each method by itself."""

    def __init__(self, api: Api, card: Card, pace: Pace, delivery: Delivery) -> None:
        self._card = card
        self._pace = pace
        self._listing = Listing(api, card, pace, delivery)

    def verdict(self, record: PayloadRecord, conflict: Answer, first_attempt: datetime | None) -> Verdict:
        """Return what a 409 means for a record of which an earlier answer was lost.

        `first_attempt` is when it was sent first, by the server's clock; None where that is not known.
        """
        seen = self._seen(record.reference_number, conflict)
        if seen is None:
            why = self._pace.reason or "no answer"
            words = f"whether it is ours is not known, looking it up failed: {why} ({api_message(conflict)})"
            return Verdict(Action.SETTLE, Result.UNKNOWN, fitted(words))
        stored = with_reference(seen, self._card.key, record.reference_number)
        objection = _objection(self._card, record, stored, first_attempt)
        if stored is None or objection:
            return Verdict(Action.SETTLE, Result.EXISTS, fitted(f"{objection} ({api_message(conflict)})"))
        return Verdict(Action.SETTLE, Result.CREATED, confirmed_by=CONFIRMED, api_id=api_id(stored))

    def _seen(self, reference: str, conflict: Answer) -> Sequence[Item] | None:
        """Return the records among which it has to be; None when there is no answer."""
        if record_id := existing_id(conflict):
            answer = self._listing.record(record_id)
            return [answer.object()] if answer else None
        seen: Sequence[Item] = []
        for number in range(1, _MAX_SEARCH_PAGES + 1):
            page = self._listing.page(number, search_text(reference) if self._card.look_up is LookUpBy.SEARCH else None)
            if page is None:
                return None
            seen = page.items
            if number >= page.pages or with_reference(seen, self._card.key, reference):
                break
        return seen


def _objection(card: Card, record: PayloadRecord, stored: Item | None, first_attempt: datetime | None) -> str | None:
    """Return why the stored record does not count as ours; None when it does."""
    if stored is None:
        return "not ours, it cannot be seen: it is deleted, or another tenant's"
    if fields := differing_fields(card, record.body, stored):
        return f"not ours, it is not what was sent: it differs in {', '.join(fields)}"
    created = moment(stored.get("created_at"))
    if created is None or first_attempt is None:
        return "not known to be ours: the API does not say when it was created"
    if created < first_attempt.replace(tzinfo=UTC) - TOLERANCE:
        return f"not ours, it was created at {created:%Y-%m-%d %H:%M:%S} UTC, before our first attempt"
    return None
