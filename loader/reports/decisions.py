"""What a person decides once for a whole file: the order of its dates, and what its unknown values mean."""

from dataclasses import dataclass
from typing import Any

from loader.audit.journal import event_details
from loader.storage.warehouse import Warehouse

# As folded_value of the macros folds a value; the text of an issue is cut to 80 characters.
_FOLDED = r"regexp_replace(strip_accents(lower(value)), '[\s\pZ\p{Pd}_\x{2212}]+', ' ', 'g')"
_UNKNOWN = f"""
    select
        field, arg_min(value, record_number) as value, count(*) as records,
        min(line_number, 3) as lines, max(suggestion) as suggestion, count(*) over () as of_all
    from audit.fct_issues where run_id = ? and code = 'unknown_enum'
    group by field, {_FOLDED}
    order by records desc, field, value limit ?
"""  # noqa: S608 - our own text


@dataclass(frozen=True)
class JudgedDates:
    """The cells of one date that are no accepted ones, counted by what can stand first in them.

    `read` were read by the order and in the zone that the run was given. `order_flag` is what reads the days of all of
    them, None where no single order fits, or there are none.
    """

    field: str
    source_column: str
    day_first_only: int
    month_first_only: int
    either_order: int
    without_zone: int
    order_flag: str | None
    read: int

    def in_words(self, order: str | None, zone: str | None) -> str:
        """Return the counts and what follows from them, in one line, of a file that was read so."""
        parts = []
        if self.day_first_only or self.month_first_only or self.either_order:
            parts.append(
                f"{self.month_first_only:,} cells can only be month first, {self.day_first_only:,} only day first, "
                f"{self.either_order:,} could be either"
            )
            parts += self._fitting(order)
        if self.without_zone:
            parts.append(f"{self.without_zone:,} times have no time zone")
            parts += [] if zone else ["--assume-zone reads them"]
        return f"{self.source_column}: {'; '.join(parts)}" if parts else ""

    def _fitting(self, order: str | None) -> list[str]:
        if not self.order_flag:
            return ["both kinds occur, so no single order fits: correct the cells of one kind, or split the file"]
        if not order:
            return [f"{self.order_flag} reads them"]
        return [] if f"--date-order {order}" in self.order_flag else [f"{self.order_flag} reads them, {order} does not"]


@dataclass(frozen=True)
class DatesOfFile:
    """How the dates of a run's file were read, `order` and `zone` as they were given, and what they are as a whole."""

    order: str | None
    zone: str | None
    fields: tuple[JudgedDates, ...]

    @property
    def in_words(self) -> list[str]:
        """Return a line for each thing to say about them."""
        judged = (field.in_words(self.order, self.zone) for field in self.fields)
        return [*self._reading(), *filter(None, judged)]

    def _reading(self) -> list[str]:
        flags = [f"--date-order {self.order}"] if self.order else []
        flags += [f"--assume-zone {self.zone}"] if self.zone else []
        if not flags:
            return []
        cells = ", ".join(f"{field.read:,} cells of {field.source_column}" for field in self.fields)
        return [f"dates are read by {' and '.join(flags)}, each as a changed cell: {cells or 'no date'}"]


@dataclass(frozen=True)
class UnknownValue:
    """A value that enum_map.csv does not know: how many records have it, the first lines of them, what may be meant."""

    field: str
    value: str
    records: int
    lines: tuple[int, ...]
    suggestion: str | None


def dates_of_file(warehouse: Warehouse, run_id: str) -> DatesOfFile:
    """Return what the validation of a run has found of the file's dates; of an earlier version's run it is nothing."""
    details = event_details(warehouse, run_id, "validated") or {}
    fields = tuple(JudgedDates(**of_field) for of_field in details.get("dates", ()))
    return DatesOfFile(details.get("date_order"), details.get("assume_zone"), fields)


def unknown_values(warehouse: Warehouse, run_id: str, most: int) -> tuple[list[UnknownValue], int]:
    """Return the unknown values of a run's file, at most so many, by their records; and how many there are."""
    rows = warehouse.rows(_UNKNOWN, [run_id, most])
    found = [
        UnknownValue(row["field"], row["value"] or "", row["records"], tuple(row["lines"]), row["suggestion"])
        for row in rows
    ]
    return found, rows[0]["of_all"] if rows else 0


def as_document(dates: DatesOfFile, values: list[UnknownValue], of_all: int) -> dict[str, Any]:
    """Return both as the JSON files and `--json` have them."""
    return {
        "dates": {
            "date_order": dates.order,
            "assume_zone": dates.zone,
            "fields": [vars(field) for field in dates.fields],
            "in_words": dates.in_words,
        },
        "unknown_values": {"total": of_all, "most_frequent": [vars(value) for value in values]},
    }
