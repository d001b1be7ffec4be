"""Reads records back after an import (`--verify`) and keeps what that shows.

It is the only proof: the 201 comes before the platform's commit, and a 409 does not compare.

The list is read from its top, newest first, a hundred records to a request, as long as a page brings wanted records
(what has just been created is there) or fewer pages are left than wanted records. What is left then is looked for one
by one: as the card says, by a search for its key, or by the id that the platform has given it. Nothing is judged
without an answer.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from math import ceil
from typing import Any, NamedTuple

from loader.audit.journal import now
from loader.card import LookUpBy
from loader.console import Meter
from loader.delivery.pace import Pace
from loader.delivery.readback import (
    PAGE_RECORDS,
    Listing,
    Proof,
    ReadBack,
    differing_fields,
    search_text,
    with_reference,
)
from loader.delivery.record import PayloadRecord
from loader.delivery.resume import known_records
from loader.run.job import Run, Target
from loader.run.payload import REPLACED, read_batch
from loader.steps import Step, step
from loader.storage.warehouse import Row

READ_BACK = "read_back"
# A page of the list costs what the search for one record does.
_WORTH_A_PAGE = 2
_MAX_SEARCH_PAGES = 20
Item = Mapping[str, Any]


class _Candidate(NamedTuple):
    """A record to read back; `is_ours`: what is on the platform has to be what was sent."""

    record_number: int
    reference_number: str
    result: str
    is_ours: bool
    api_id: str | None


Wanted = dict[str, _Candidate]
# Ours is what this run created, or the run that it goes on with: only of those must reading back find what was sent.
_CANDIDATES = """
    select record_number, reference_number, result,
        result = 'created' or coalesce(confirmed_by, '') = 'earlier_run' and exists (
            select 1 from {known} as earlier inner join audit.fct_runs as runs using (run_id)
            where runs.address = ? and earlier.result = 'created' and earlier.entity_type = records.entity_type
                and earlier.reference_number = records.reference_number and earlier.record_hash = records.record_hash
        ) as is_ours,
        api_id
    from audit.fct_import_records as records
    where run_id = ? and result in ('created', 'exists')
    order by record_number
"""


def read_back(run: Run, target: Target) -> None:
    """Read the created and existing records of the run back; `run.readback` gets the counts."""
    wanted = _wanted(run, target)
    sampled = len(wanted)
    # The platform limits each method by itself, so reading begins with a window of its own.
    pace = run.pace.companion()
    verifier = _Verifier(run, target, wanted, pace)
    if wanted:
        text = f"reading back from {run.job.environment}"
        with run.signals.handled(run.pace), run.console.progress(text, sampled) as meter:
            verifier.carry_out(meter)
    if pace.reason:
        run.pace.stop(pace.reason)
    run.readback = ReadBack(
        sampled,
        **{proof.value: verifier.proofs[proof] for proof in Proof},
        not_verified=len(wanted),
        unproven=verifier.unproven + sum(row.is_ours for row in wanted.values()),
    )
    run.journal.note(READ_BACK, **vars(run.readback))


def _wanted(run: Run, target: Target) -> Wanted:
    """Return the records to read back by their references: all, or a sample that is the same for the same run."""
    query = _CANDIDATES.format(known=known_records(run.warehouse, run.job.card.entity))
    candidates = [_Candidate(*row) for row in run.warehouse.tuples(query, [target.address, run.run_id])]
    size = run.job.verify_sample
    if size is not None and size < len(candidates):
        candidates = random.Random(run.run_id).sample(candidates, size)  # noqa: S311 - repeatable, not secret
        candidates.sort()
    return {candidate.reference_number: candidate for candidate in candidates}


class _Verifier:
    """Reads, compares and keeps. A record leaves `wanted` with its verdict."""

    def __init__(self, run: Run, target: Target, wanted: Wanted, pace: Pace) -> None:
        self._run = run
        self._wanted = wanted
        self._pace = pace
        self._listing = Listing(target.api, run.job.card, pace, run.settings.delivery)
        self.proofs: Counter[Proof] = Counter()
        self.unproven = 0

    def carry_out(self, meter: Meter) -> None:
        if len(self._wanted) >= _WORTH_A_PAGE:
            self._walk(meter)
        references = iter(list(self._wanted))
        while (batch := list(islice(references, self._run.job.batch_size))) and not self._pace.stopping:
            self._keep(self._searched(batch, meter))

    def _walk(self, meter: Meter) -> None:
        """Read the list from its top, as long as that takes fewer requests than to search for each record."""
        key = self._run.job.card.key
        for number in range(1, len(self._wanted) + 1):
            page = self._listing.page(number)
            if page is None:
                return
            found = {item[key]: item for item in page.items if isinstance(item.get(key), str)}
            sent = self._sent([reference for reference in found if reference in self._wanted])
            self._keep([self._verdict(record, found[record.reference_number]) for record in sent])
            wanted, pages_left = len(self._wanted), page.pages - number
            goes_on = wanted > 0 < pages_left and (len(sent) >= _WORTH_A_PAGE or pages_left < wanted)
            # If the pages to come bring as much as this one.
            expected_pages = min(pages_left, ceil(wanted / max(len(sent), 1)))
            meter.advance(self._counts(), len(sent), expected_pages if goes_on else wanted)
            if not goes_on:
                return

    def _searched(self, batch: Sequence[str], meter: Meter) -> list[Row]:
        """Search for each record of the batch; return the verdicts, none of a record that no answer was had for."""
        rows = []
        for record in self._sent(batch):
            found = self._found(self._wanted[record.reference_number], meter)
            if found is not None:
                rows.append(self._verdict(record, next(iter(found), None)))
                meter.advance(self._counts(), 1, len(self._wanted))
        return rows

    def _found(self, wanted: _Candidate, meter: Meter) -> list[Item] | None:
        """Return the record alone; no record when it is not visible, None when that is not known."""
        card = self._run.job.card
        if card.look_up is LookUpBy.SEARCH:
            return self._listed(wanted.reference_number, search_text(wanted.reference_number), meter)
        if wanted.api_id is None:
            return self._listed(wanted.reference_number, None, meter)
        answer = self._listing.record(wanted.api_id)
        if answer is None:
            return None
        item = with_reference([answer.object()], card.key, wanted.reference_number)
        return [item] if item else []

    def _listed(self, reference: str, search: str | None, meter: Meter) -> list[Item] | None:
        """Return the record of the list, or of what a search finds, as `_found` does."""
        for number in range(1, _MAX_SEARCH_PAGES + 1):
            page = self._listing.page(number, search)
            if page is None:
                return None
            item = with_reference(page.items, self._run.job.card.key, reference)
            if item or number >= page.pages:
                return [item] if item else []
            meter.advance(self._counts(), 0, len(self._wanted))
        self._run.console.notice(
            f"{reference}: not among the first {_MAX_SEARCH_PAGES * PAGE_RECORDS} records that the search finds; "
            "not verified"
        )
        return None

    def _counts(self) -> str:
        return ", ".join(f"{proof.value} {count}" for proof, count in self.proofs.items())

    def _keep(self, rows: Sequence[Row]) -> None:
        with step(Step.COMMIT_READ_BACK):
            self._run.warehouse.insert("fct_readback", rows)

    def _sent(self, references: Sequence[str]) -> list[PayloadRecord]:
        """Return what was sent of these records; nothing, and the run stops, when it is not there any more."""
        run = self._run
        if not references:
            return []
        numbers = [self._wanted[reference].record_number for reference in references]
        records = read_batch(run.warehouse, run.job.card, run.totals.invocation_id, numbers)
        if len(records) == len(numbers):
            return records
        self._pace.stop(REPLACED)
        return []

    def _verdict(self, record: PayloadRecord, stored: Item | None) -> Row:
        """Compare what was sent with what is stored, None when it is not visible."""
        fields = [] if stored is None else differing_fields(self._run.job.card, record.body, stored)
        proof = Proof.NOT_VISIBLE if stored is None else Proof.DIFFERS if fields else Proof.IDENTICAL
        wanted = self._wanted.pop(record.reference_number)
        self.proofs[proof] += 1
        self.unproven += wanted.is_ours and proof is not Proof.IDENTICAL
        return {
            "run_id": self._run.run_id,
            "entity_type": self._run.job.card.entity,
            "record_number": record.record_number,
            "line_number": record.line_number,
            "reference_number": record.reference_number,
            "result": wanted.result,
            "is_ours": wanted.is_ours,
            "verdict": proof.value,
            "differing_fields": ", ".join(fields) or None,
            "status_code": self._listing.status,
            "verified_at": now(),
        }
