"""Turns payload rows into request bodies. Pure: no value is changed, absent ones are left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class PayloadRecord:
    """One row of the payload: where it came from, its key and its body.

    `in_doubt_since`: an earlier run may have stored it without knowing, by a request that it sent at this time of the
    server's clock or later. `is_there`: an earlier run saw it on the platform.
    """

    record_number: int
    line_number: int
    record_hash: str
    reference_number: str
    body: dict[str, Any]
    in_doubt_since: datetime | None = None
    is_there: bool = False


def payload_record(row: dict[str, Any], fields: Sequence[str], key: str) -> PayloadRecord:
    """Return the record of one payload row; fields that are null are left out of the body, not sent as null."""
    body = {field: row[field] for field in fields if row[field] is not None}
    return PayloadRecord(row["record_number"], row["line_number"], row["record_hash"], row[key], body)
