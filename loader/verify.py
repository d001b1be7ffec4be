"""Reads records back after an import (`--verify`) and keeps what that shows.

It is the only proof: the 201 comes before the platform's commit, and a 409 does not compare.

The list is read from its top, newest first, as long as its pages bring wanted records: what has just been created
stands there, a hundred to a request. What is left is searched for one by one. Nothing is judged without an answer.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from loader.audit import REPLACED, now, read_batch
from loader.job import Run, Target
from loader.listing import PAGE_RECORDS, Listing
from loader.pacing import Pace
from loader.payload import PayloadRecord
from loader.readback import Proof, differing_fields, search_text, with_reference
from loader.retry import Result
from loader.steps import Step, step
from loader.warehouse import Row

READ_BACK = "read_back"
# A page of the list costs what the search for one record does.
_WORTH_A_PAGE = 2
_MAX_SEARCH_PAGES = 20
Item = Mapping[str, Any]
Wanted = dict[str, Row]

# Ours is what this run created, or the run that it goes on with: only of those must reading back find what was sent.
_CANDIDATES = """
    select record_number, reference_number, result,
        result = 'created' or coalesce(confirmed_by, '') = 'earlier_run' and exists (
            select 1 from audit.fct_import_records as earlier inner join audit.fct_runs as runs using (run_id)
            where runs.address = ? and earlier.result = 'created' and earlier.entity_type = records.entity_type
                and earlier.reference_number = records.reference_number and earlier.record_hash = records.record_hash
        ) as is_ours
    from audit.fct_import_records as records
    where run_id = ? and result in ('created', 'exists')
    order by record_number
"""


def read_back(run: Run, target: Target) -> None:
    """Read the created and existing records of the run back; `run.readback` gets the counts."""
    # The platform limits each method by itself, so reading begins with a window of its own.
    posting, run.pace = run.pace, Pace(run.settings.delivery, run.console.notice)
    wanted = _wanted(run, target)
    sampled = len(wanted)
    verifier = _Verifier(run, target, wanted)
    if wanted:
        run.delivering = True
        with run.console.progress(f"reading back from {run.job.environment}", sampled) as advance:
            verifier.carry_out(advance)
        run.delivering = False
    if run.pace.reason:
        posting.stop(run.pace.reason)
    run.pace = posting
    unproven = verifier.unproven + sum(row["is_ours"] for row in wanted.values())
    run.readback = {
        "sampled": sampled,
        **{proof.value: verifier.proofs[proof] for proof in Proof},
        "not_verified": len(wanted),
        "unproven": unproven,
    }
    run.journal.note(READ_BACK, **run.readback)


def _wanted(run: Run, target: Target) -> Wanted:
    """Return the records to read back by their references: all, or a sample that is the same for the same run."""
    candidates = run.warehouse.rows(_CANDIDATES, [target.address, run.run_id])
    size = run.job.verify_sample
    if size is not None and size < len(candidates):
        candidates = random.Random(run.run_id).sample(candidates, size)  # noqa: S311 - repeatable, not secret
        candidates.sort(key=lambda row: row["record_number"])
    return {row["reference_number"]: row for row in candidates}


class _Verifier:
    """Reads, compares and keeps. A record leaves `wanted` when its verdict is committed."""

    def __init__(self, run: Run, target: Target, wanted: Wanted) -> None:
        self._run = run
        self._wanted = wanted
        self._listing = Listing(target.api, run.job.card.endpoint, run.pace, run.settings.delivery)
        self._advance: Callable[[str], None] = lambda _: None
        self.proofs: Counter[Proof] = Counter()
        self.unproven = 0

    def carry_out(self, advance: Callable[[str], None]) -> None:
        self._advance = advance
        if len(self._wanted) >= _WORTH_A_PAGE:
            self._walk()
        references = iter(list(self._wanted))
        while (batch := list(islice(references, self._run.job.batch_size))) and not self._run.pace.stopping:
            found: dict[str, Item | None] = {}
            for reference in batch:
                self._search(reference, found)
            self._keep(found)

    def _walk(self) -> None:
        key, number = self._run.job.card.key, 1
        while page := self._listing.page(number):
            found = {item[key]: item for item in page.items if isinstance(item.get(key), str)}
            hits: dict[str, Item | None] = {name: item for name, item in found.items() if name in self._wanted}
            self._keep(hits)
            if len(hits) < _WORTH_A_PAGE or not self._wanted or number >= page.pages:
                return
            number += 1

    def _search(self, reference: str, found: dict[str, Item | None]) -> None:
        """Add the record, or None when it is not visible, to `found`; nothing when that is not known."""
        for number in range(1, _MAX_SEARCH_PAGES + 1):
            page = self._listing.page(number, search_text(reference))
            if page is None:
                return
            item = with_reference(page.items, self._run.job.card.key, reference)
            if item or number >= page.pages:
                found[reference] = item
                return
        self._run.console.notice(
            f"{reference}: not among the first {_MAX_SEARCH_PAGES * PAGE_RECORDS} records that the search finds; "
            "not verified"
        )

    def _keep(self, found: Mapping[str, Item | None]) -> None:
        """Compare what was found with what was sent, and commit the verdicts."""
        records = self._sent([self._wanted[reference]["record_number"] for reference in found])
        rows = [self._verdict(record, found[record.reference_number]) for record in records]
        with step(Step.COMMIT_READ_BACK):
            self._run.warehouse.insert("fct_readback", rows)
        for row in rows:
            proof = Proof(row["verdict"])
            is_ours = self._wanted.pop(row["reference_number"])["is_ours"]
            self.proofs[proof] += 1
            self.unproven += is_ours and proof is not Proof.IDENTICAL
            self._advance(", ".join(f"{kind.value} {count}" for kind, count in self.proofs.items()))

    def _sent(self, numbers: Sequence[int]) -> list[PayloadRecord]:
        run = self._run
        if not numbers:
            return []
        records = read_batch(run.warehouse, run.job.card, run.totals["invocation_id"], numbers)
        if len(records) == len(numbers):
            return records
        run.pace.stop(REPLACED)
        return []

    def _verdict(self, record: PayloadRecord, stored: Item | None) -> Row:
        fields = [] if stored is None else differing_fields(self._run.job.card, record.body, stored)
        proof = Proof.NOT_VISIBLE if stored is None else Proof.DIFFERS if fields else Proof.IDENTICAL
        return {
            "run_id": self._run.run_id,
            "entity_type": self._run.job.card.entity,
            "record_number": record.record_number,
            "line_number": record.line_number,
            "reference_number": record.reference_number,
            "result": Result(self._wanted[record.reference_number]["result"]).value,
            "is_ours": self._wanted[record.reference_number]["is_ours"],
            "verdict": proof.value,
            "differing_fields": ", ".join(fields) or None,
            "status_code": self._listing.status,
            "verified_at": now(),
        }
