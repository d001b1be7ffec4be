"""Damaged files: whatever is dropped, doubled or inserted, landing is never silently wrong.

Every outcome is held against `tests.pipeline.reference_reader`, which shares no code with the scan.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.errors import SourceRefused
from loader.landing.land import land
from tests.pipeline.mutations import (
    OPTIONAL,
    REQUIRED,
    Draw,
    Mutation,
    has_a_record,
    names_its_columns,
    some_file,
    some_mutation,
    some_table,
    width_of,
)
from tests.pipeline.reference_reader import BYTE_ORDER_MARK, is_utf8, line_end, read, read_record

pytestmark = pytest.mark.mutations

# `make mutations` tries 10,000; the suite a fifth of them.
MUTATIONS, SEED = int(os.environ.get("MUTATIONS", "500")), 4180
CARD = """
    select *, source_column = 'ref' as is_key from (values
        ('incident', 'title', true, 2), ('incident', 'ref', true, 1), ('incident', 'place', false, 3),
        ('action', 'ref', true, 1)) as card (entity, source_column, is_required, field_position)
"""
Rows = list[dict[str, Any]]
Land = Callable[[bytes, int], Rows | SourceRefused]


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Land]:
    """Return what lands one file after the other, over one connection and one path."""
    path = tmp_path_factory.mktemp("mutations") / "export.csv"
    with pytest.MonkeyPatch.context() as patch, duckdb.connect() as session:
        patch.setenv("ETL_SOURCE", str(path))

        def land_bytes(data: bytes, width: int) -> Rows | SourceRefused:
            path.write_bytes(data)
            entity = "incident" if width > 1 else "action"
            patch.setenv("ETL_ENTITY", entity)
            try:
                relation = land(session, session.sql(CARD), f"raw_{entity}")
                rows = relation.order("record_number").fetchall()
            except SourceRefused as refusal:
                return refusal
            return [dict(zip(relation.columns, row, strict=True)) for row in rows]

        yield land_bytes


def judged(data: bytes, mutation: Mutation, outcome: Rows | SourceRefused) -> str:
    """Return what became of the mutated file; an AssertionError says that it was silently wrong, or wrongly refused."""
    text = mutation.of(data).removeprefix(BYTE_ORDER_MARK)
    hopeless = not names_its_columns(data, text) or not has_a_record(text)
    if isinstance(outcome, SourceRefused):
        assert hopeless or b"\0" in text or not is_utf8(text), f"refused without need: {outcome}"
        return "refused"
    assert not hopeless, "landed without its columns or without a record"
    compare_with_reference(text, outcome)
    compare_with_undamaged(data, mutation, outcome)
    if any(row["parse_error"] for row in outcome):
        assert read(text) is None, "a parse error in a file that the reference reader reads"
        return "parse error"
    assert read(text) is not None, "no parse error in a file that the reference reader calls malformed"
    return "read"


def compare_with_reference(text: bytes, rows: Rows) -> None:
    """Assert that the rows are the text from its header to its end, none left out, each as the reference reads it."""
    header = read_record(text, 0)
    names, at, blank = [name.decode() for name in header.cells or []], header.end, 0
    for number, row in enumerate([*rows, None], 1):
        while size := line_end(text, at):
            at, blank = at + size, blank + 1
        if row is None:
            break
        record = read_record(text, at)
        assert (row["record_number"], row["line_number"]) == (number, 1 + text[:at].count(b"\n"))
        if row["parse_error"] is None:
            assert record.cells is not None, f"a malformed record landed: {row}"
            assert cells(row) == laid_out(names, [cell.decode() for cell in record.cells])
            at = record.end
        else:
            sound = record.cells is not None and len(record.cells) == len(names) and is_utf8(text[at : record.end])
            assert not sound, f"a sound record did not land: {row}"
            at = after_raw(text, at, row["raw_record"], record.end)
    assert at == len(text), "the end of the file did not land"
    assert {(row["source_records"], row["source_blank_lines"]) for row in rows} == {(len(rows), blank)}


def after_raw(text: bytes, at: int, raw: str, end: int) -> int:
    """Return the offset after a malformed record, which is kept as it stands and up to the end of a line."""
    if not text.startswith(raw.encode(), at):
        assert not is_utf8(text[at:end]), f"not the text of the record: {raw!r}"
        return end
    after = at + len(raw.encode())
    size = line_end(text, after)
    assert size or after == len(text), f"ends within a line: {raw!r}"
    return after + size


def laid_out(names: list[str], record: list[str]) -> list[Any]:
    """Return the cells of a record as a landed row has them: the card's columns, then the others by their names."""
    assert len(record) == len(names), f"a record of {len(record)} cells landed under {len(names)} columns"
    cell = dict(zip(names, record, strict=True))
    known = REQUIRED + OPTIONAL
    return [*(cell.get(name) for name in known), [cell[name] for name in sorted(names) if name not in known]]


def cells(row: dict[str, Any]) -> list[Any]:
    return [*(row.get(name) for name in REQUIRED + OPTIONAL), row["other_cells"]]


def compare_with_undamaged(data: bytes, mutation: Mutation, rows: Rows) -> None:
    """Assert that the records before the mutation are unchanged; and those after it, unless a quote is involved.

    A quote too many or too few may take the records after it into one cell: then there is a parse error.
    """
    mutated, spans = mutation.of(data), records_of(data)
    if mutation.start < spans[0][0]:
        return
    before = [row for _, end, row in spans if end <= mutation.start and data[end - 1 : end] == b"\n"]
    assert [cells(row) for row in rows[: len(before)]] == before
    fresh = mutated[: mutation.start + len(mutation.text)].endswith(b"\n")
    after = [(start, row) for start, _, row in spans if start >= mutation.end + (not fresh)]
    until = after[0][0] if after else len(data)
    quoted = b'"' in data[spans[len(before)][0] if len(before) < len(spans) else len(data) : until] + mutation.text
    if after and (not quoted or read(mutated) is not None):
        assert [cells(row) for row in rows[-len(after) :]] == [row for _, row in after]


def records_of(data: bytes) -> list[tuple[int, int, list[Any]]]:
    """Return start, end and cells, laid out as landed, of every record of an undamaged file."""
    header = read_record(data, len(BYTE_ORDER_MARK) * data.startswith(BYTE_ORDER_MARK))
    names, at, found = [name.decode() for name in header.cells or []], header.end, []
    while at < len(data):
        record = read_record(data, at)
        found.append((at, record.end, laid_out(names, [cell.decode() for cell in record.cells or []])))
        at = record.end
    return found


def drawn_by(data: st.DataObject) -> Draw:
    return lambda choices: data.draw(st.sampled_from(choices))


@settings(max_examples=100)
@given(st.data())
def test_what_csv_wrote_lands_whatever_the_dialect(landed: Land, data: st.DataObject):
    draw = drawn_by(data)
    table = some_table(draw)
    written = some_file(draw, table)
    assert read(written) == [[cell.encode() for cell in row] for row in table]
    rows = landed(written, len(table[0]))
    assert not isinstance(rows, SourceRefused)
    assert [cells(row) for row in rows] == [laid_out(table[0], row) for row in table[1:]]
    assert {row["parse_error"] for row in rows} == {None}


@settings(max_examples=200)
@given(st.data())
def test_a_mutation_is_never_silently_wrong_and_the_smallest_that_is_gets_shown(landed: Land, data: st.DataObject):
    draw = drawn_by(data)
    written = some_file(draw, some_table(draw))
    mutation = some_mutation(draw, written)
    judged(written, mutation, landed(mutation.of(written), width_of(written)))


def test_of_thousands_of_mutations_none_is_silently_wrong(landed: Land):
    draw = random.Random(SEED).choice  # noqa: S311 - repeatable, not secret
    outcomes, wrong = Counter[str](), []
    for _ in range(MUTATIONS):
        written = some_file(draw, some_table(draw))
        mutation = some_mutation(draw, written)
        try:
            outcomes[judged(written, mutation, landed(mutation.of(written), width_of(written)))] += 1
        except (AssertionError, duckdb.Error) as error:
            wrong.append((str(error).partition("\n")[0], written, mutation))
    assert (len(wrong), wrong[:3]) == (0, [])
    print(
        f"{MUTATIONS} mutations, 0 silently wrong:", ", ".join(f"{name} {outcomes[name]}" for name in sorted(outcomes))
    )
    assert min(outcomes[name] for name in ("refused", "parse error", "read")) > MUTATIONS // 10, outcomes
