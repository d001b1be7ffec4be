"""What the probe has to say about one difference: its kind, whether it breaks an import, and the records it hits."""

from dataclasses import dataclass
from enum import StrEnum

from loader.console import printable

_SHOWN_CHARACTERS, _SHOWN_NAMES = 80, 5


class Severity(StrEnum):
    """Whether an import is refused for it."""

    BREAKING = "breaking"
    NOTICE = "notice"


class Kind(StrEnum):
    """What kind of difference it is; the list is that of the RUNBOOK, section 6."""

    DOCUMENT_UNREADABLE = "document_unreadable"
    PATH_MOVED = "path_moved"
    CONTRACT_MOVED = "contract_moved"
    FIELD_UNKNOWN = "field_unknown"
    FIELD_REQUIRED = "field_required"
    OPTIONAL_FIELD_ADDED = "optional_field_added"
    ADDITIONAL_PROPERTIES_FORBIDDEN = "additional_properties_forbidden"
    TYPE_CHANGED = "type_changed"
    FORMAT_CHANGED = "format_changed"
    NULLABLE_DROPPED = "nullable_dropped"
    ENUM_VALUE_LOST = "enum_value_lost"
    ENUM_VALUE_ADDED = "enum_value_added"
    LIMIT_LOWERED = "limit_lowered"
    LIMIT_RAISED = "limit_raised"
    LIMIT_REMOVED = "limit_removed"
    MINIMUM_RAISED = "minimum_raised"
    PATTERN_ADDED = "pattern_added"
    ACCEPTED_THOUGH_EXPIRED = "accepted_though_expired"
    EXPIRES = "expires"


# There was nothing to compare with: nothing is known of any record.
NOT_COMPARED = frozenset({Kind.DOCUMENT_UNREADABLE, Kind.PATH_MOVED})


@dataclass(frozen=True)
class Hit:
    """How many records of a build a difference hits, of how many, and the references of the first ones."""

    records: int
    total: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One difference. `value` is what it is about, as an enum value; `effect` what becomes of the records hit.

    `is_urgent` is a notice that an import tells while it can still be heeded.
    """

    kind: Kind
    severity: Severity
    message: str
    field: str | None = None
    value: str | int | None = None
    effect: str = "would be refused"
    is_urgent: bool = False
    hit: Hit | None = None

    @property
    def is_breaking(self) -> bool:
        """Tell whether an import is refused for it."""
        return self.severity is Severity.BREAKING

    def sentence(self) -> str:
        """Return the message, with the records that it hits where they have been counted."""
        if self.hit is None:
            return self.message
        of = ", ".join(self.hit.examples)
        counted = f"{self.hit.records:,} of {self.hit.total:,} records {self.effect}"
        return f"{self.message}: {counted}" + (f" ({of})" if of else "")


def shown(text: str) -> str:
    """Return a text of the API fit for one line: at most 80 characters, none of which steers a terminal."""
    return printable(text[:_SHOWN_CHARACTERS], kept="")


def listed(names: list[str]) -> str:
    """Return names of the API fit for one line: the first five, and how many more there are."""
    more = len(names) - _SHOWN_NAMES
    return ", ".join(map(shown, names[:_SHOWN_NAMES])) + (f" and {more} more" if more > 0 else "")
