"""What is to be said of the file that a run has read, beside its records: how it was read, and what it lacks."""

from dataclasses import asdict, dataclass
from typing import Any

from loader.card import Card
from loader.landing.likeness import likely_columns
from loader.run.payload import Totals

SOURCE_READ = "source_read"


@dataclass(frozen=True)
class MissingColumn:
    """An optional source column that the file does not have: its field, what is sent for it, for how many records.

    `default` is None where nothing is sent; `looks_like` is an unknown column of the file that may be meant.
    """

    column: str
    field: str
    default: str | None
    records: int
    looks_like: str | None


@dataclass(frozen=True)
class SourceRead:
    """How a file was read: by which profile, what it calls our columns, what is missing, what its sheet is like."""

    profile: str | None
    columns: dict[str, str]
    missing_columns: tuple[MissingColumn, ...]
    notices: tuple[str, ...]

    def details(self) -> dict[str, Any]:
        """Return it as a step of the audit trail has it."""
        return asdict(self)


def source_read(card: Card, totals: Totals) -> SourceRead:
    """Return what is to be said of the file of these totals."""
    ours = {theirs: column for column, theirs in totals.renamed_columns.items()}
    names = {theirs: ours.get(theirs, theirs) for theirs in totals.source_columns}
    unknown = [theirs for theirs, name in names.items() if name not in card.source_columns]
    missing = [field for field in card.fields if field.source_column not in names.values()]
    likely = likely_columns(unknown, [field.source_column for field in missing])
    records = totals.source_records - totals.parse_error_records
    return SourceRead(
        totals.source_profile,
        ours,
        tuple(
            MissingColumn(field.source_column, field.name, field.default, records, likely.get(field.source_column))
            for field in missing
        ),
        tuple(totals.source_notices),
    )
