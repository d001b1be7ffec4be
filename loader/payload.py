"""Turns payload rows into request bodies. Pure: no value is changed, absent ones are left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PayloadRecord:
    """One row of the payload: where it came from, its key and its body.

    `may_be_ours`: an earlier run may have stored it without knowing. `is_there`: an earlier run saw it on the platform.
    """

    record_number: int
    line_number: int
    record_hash: str
    reference_number: str
    body: dict[str, Any]
    may_be_ours: bool = False
    is_there: bool = False


def payload_record(row: dict[str, Any], fields: Sequence[str], key: str) -> PayloadRecord:
    """Return the record of one payload row; fields that are null are left out of the body, not sent as null."""
    body = {field: row[field] for field in fields if row[field] is not None}
    return PayloadRecord(row["record_number"], row["line_number"], row["record_hash"], row[key], body)
