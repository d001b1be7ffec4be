"""Compares the rows of `audit` with their seals, and names those that are not as they were sealed."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from loader.audit.definitions import changed_definitions
from loader.audit.digests import OPEN_RUN, RECEIPT, Content, Subject, audit_tables, contents, subjects
from loader.audit.seals import Anchor, Seal, chain, is_late
from loader.storage.warehouse import Row, fetch, shadowing

_RECEIPTS = "select receipt_id, kind, subject_id, began_at, pruned_at, retention_days from audit.fct_receipts"
_LEAST = timedelta(days=90)


@dataclass(frozen=True)
class Trail:
    """The audit trail: its seals, the rows that are there, and those that receipts say were removed."""

    seals: list[Seal]
    anchor: Anchor | None
    held: dict[Subject, Content]
    states: dict[Subject, Row]
    removed: dict[Subject, Content]
    uncovered: list[str]
    shadowing: list[str]
    definitions: list[str]
    receipts: list[Row]

    @property
    def unsealed(self) -> list[Subject]:
        """Return what has rows and no seal."""
        sealed = {seal.subject for seal in self.seals}
        return sorted((subject for subject in self.held if subject not in sealed), key=str)


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was sealed; rows are None where it is not about a table's rows."""

    what: str
    number: int | None = None
    subject: Subject | None = None
    table: str | None = None
    sealed_rows: int | None = None
    found_rows: int | None = None

    def __str__(self) -> str:
        where = f"seal {self.number} ({self.subject}): " if self.number else f"{self.subject}: " if self.subject else ""
        return where + self.what


def read_trail(reading: Callable[[], AbstractContextManager[Any]], anchor: Anchor | None) -> Trail:
    """Return the trail. `reading` opens a connection as `Warehouse.apart`.

    It is open for one table at a time, so that runs may go on meanwhile. Seals are read first: what has one is at rest.
    """
    with reading() as connection:
        seals, tables = chain(connection), audit_tables(connection)
    held: dict[Subject, Content] = {}
    for table in tables:
        with reading() as connection:
            for subject, content in contents(connection, [table]).items():
                held.setdefault(subject, {}).update(content)
    with reading() as connection:
        states, removed, functions = subjects(connection), removed_before(connection), shadowing(connection)
        definitions = list(changed_definitions(connection))
        receipts = fetch(connection, _RECEIPTS)
    uncovered = [table.name for table in tables if not table.id_column]
    return Trail(seals, anchor, held, states, removed, uncovered, functions, definitions, receipts)


def problems(trail: Trail) -> Iterator[Problem]:
    """Yield the problems: first along the chain, then at its end, then of what no seal knows."""
    before, seen = None, set()
    for seal in trail.seals:
        if what := _link(before, seal):
            yield Problem(what, seal.number, seal.subject)
        if seal.subject in seen:
            yield Problem("it is sealed twice", seal.number, seal.subject)
        elif seal.seal == seal.computed():
            yield from row_problems(seal, trail.held.get(seal.subject, {}), trail.removed.get(seal.subject, {}))
        seen.add(seal.subject)
        before = seal
    yield from _end(trail)
    yield from _receipts(trail)
    yield from _beside(trail)
    for subject in trail.unsealed:
        yield from _never_sealed(trail, subject)


def _beside(trail: Trail) -> Iterator[Problem]:
    """Yield what stands beside the rows, and should not or should be another."""
    for name in trail.shadowing:
        yield Problem(f"the function main.{name} was added: where this database is in use, it stands for DuckDB's own")
    for what in trail.definitions:
        yield Problem(f"{what}; `dbt build --selector audit` makes it as it should be")
    for name in trail.uncovered:
        yield Problem(f"audit.{name} has none of the columns by which rows are sealed", table=name)


def _link(before: Seal | None, seal: Seal) -> str:
    """Return what is wrong between a seal and the one before it; empty for nothing."""
    number, previous = (before.number or 0, before.seal) if before else (0, "")
    if seal.seal != seal.computed():
        return "its row of audit.fct_seals was changed"
    if (seal.number or 0) > number + 1:
        return f"seals {number + 1} to {seal.number - 1} are missing before it"
    if seal.number != number + 1:
        return "its number stands twice"
    return "" if seal.previous_seal == previous else f"it does not follow seal {number}"


def row_problems(seal: Seal, held: Content, removed: Content) -> Iterator[Problem]:
    """Compare the tables of one subject; what a receipt says was removed has to be gone, and to be what was sealed."""
    for table in sorted(seal.tables | held | removed):
        sealed, found = seal.tables.get(table), held.get(table)
        if table in removed and removed[table] != sealed:
            yield Problem(f"{table}: its receipt names other rows than were sealed", seal.number, seal.subject, table)
        expected = None if table in removed else sealed
        if found != expected:
            counts = [content["rows"] if content else 0 for content in (expected, found)]
            what = f"{table}: sealed {counts[0]:,} rows, found {counts[1]:,}"
            if counts[0] == counts[1]:
                what = f"{table}: {counts[0]:,} rows as sealed, but not the same"
            yield Problem(what, seal.number, seal.subject, table, *counts)


def _receipts(trail: Trail) -> Iterator[Problem]:
    """Hold every receipt against the seal of what it says was old enough to go, and against its own."""
    sealed = {seal.subject: seal.sealed_at for seal in trail.seals}
    for row in trail.receipts:
        subject, receipt = Subject(row["kind"], row["subject_id"]), Subject(RECEIPT, row["receipt_id"])
        moments = [row["began_at"], sealed.get(subject), row["pruned_at"], sealed.get(receipt)]
        least = max(_LEAST, timedelta(days=min(row["retention_days"] or 0, 36_500)))
        if None in moments or (row["retention_days"] or 0) < _LEAST.days:
            yield Problem(f"{receipt} does not say when it was old enough to be removed", subject=subject)
        elif moments[2] - max(moments[:2]) < least or moments[2] > moments[3]:
            yield Problem(f"{receipt} says that it was removed, but it was too young for that", subject=subject)


def _end(trail: Trail) -> Iterator[Problem]:
    """Compare the end of the chain with what was noted beside the database."""
    if trail.anchor is None:
        if trail.seals:
            yield Problem(
                "the file that notes the last seal is missing, so seals cut off the end would not be missed; "
                "put it back, or let the next run write it"
            )
        return
    last = max((seal.number or 0 for seal in trail.seals), default=0)
    noted = [seal for seal in trail.seals if seal.number == trail.anchor.number]
    if trail.anchor.number > last:
        yield Problem(
            f"seals {last + 1} to {trail.anchor.number} are missing, with the rows that they seal: "
            "an old copy was put back, or the end of the log is lost"
        )
    elif not noted or noted[0].seal != trail.anchor.seal:
        yield Problem(f"seal {trail.anchor.number} is not the one that was noted beside the database")


def _never_sealed(trail: Trail, subject: Subject) -> Iterator[Problem]:
    state, tables = trail.states.get(subject), ", ".join(sorted(trail.held[subject]))
    if state is None or subject.id is None:
        yield Problem(f"rows of no known {subject.kind}, in {tables}", subject=subject)
    elif subject.kind == RECEIPT:
        yield Problem("it was not written by prune: it has no seal", subject=subject)
    elif trail.seals:
        last, known_open = trail.seals[-1], any(seal.subject == (OPEN_RUN, subject.id) for seal in trail.seals)
        if is_late(state, last, known_open=known_open):
            what = "it stood open, or ended," if state["opened"] else "it ended"
            yield Problem(
                f"it has no seal, though {what} before seal {last.number} was made: its rows were added, in {tables}",
                subject=subject,
            )


def removed_before(connection: Any) -> dict[Subject, Content]:
    """Return what receipts say was removed; a text that is no JSON object says nothing."""
    removed: dict[Subject, Content] = {}
    for row in fetch(connection, "select kind, subject_id, content from audit.fct_receipts"):
        try:
            content = json.loads(row["content"] or "")
        except ValueError:
            continue
        if isinstance(content, dict):
            removed.setdefault(Subject(row["kind"], row["subject_id"]), {}).update(content)
    return removed
