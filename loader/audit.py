"""What the loader reads from dbt's tables and writes to `audit`: the SQL of both, in one place."""

import json
import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loader.card import Card, Field
from loader.errors import GateClosed, StoppedEarly
from loader.gate import GateFacts, NodeResult
from loader.payload import PayloadRecord, payload_record
from loader.warehouse import NUMBERS, Row, Warehouse, fetch, in_bulk, insert

FILE_COUNTS = (
    "parse_error_records",
    "invalid_records",
    "duplicate_records",
    "excepted_records",
    "ready_records",
)
DELIVERY_COUNTS = (
    "created_records",
    "exists_records",
    "failed_records",
    "unknown_records",
    "not_attempted_records",
)
STATS_COUNTS = ("total_records", *FILE_COUNTS, *DELIVERY_COUNTS)

REPLACED = "another dbt invocation has replaced what this run has validated"

# The card as the last build had it.
_PUBLISHED = """
    select field, source_column, is_key, is_required, max_length, format, counts, list_sort(enum_values) as enum_values
    from contract.dim_payload_fields where entity = ? order by field_position
"""
_RECORD_COLUMNS = "record_number, line_number, reference_number, record_hash"
_COPIED = {
    "fct_records": ("int_{entity}_records", f"{_RECORD_COLUMNS}, status, exception_reason"),
    "fct_issues": (
        "int_{entity}_issues",
        f"{_RECORD_COLUMNS}, severity, code, field, value, counted, allowed, suggestion, message, how_to_fix",
    ),
    "fct_changes": (
        "int_{entity}_changes",
        "record_number, line_number, reference_number, field, before, after, rule",
    ),
}


# An index would have to be kept up to date for all rows of all runs; DuckDB skips what has no record between the two.
_TWICE = """
    select record_number from audit.fct_import_records where run_id = ? and record_number between ? and ?
    group by record_number having count(*) > 1 order by record_number limit 1
"""


@dataclass
class Journal:
    """The events of one run, kept until the next commit."""

    run_id: str
    entity: str
    source_hash: str | None = None
    pending: list[Row] = field(default_factory=list)

    def note(self, action: str, **details: Any) -> None:
        """Add one step of the run."""
        self.pending.append(
            {
                "run_id": self.run_id,
                "event_time": now(),
                "action": action,
                "entity_type": self.entity,
                "source_hash": self.source_hash,
                "details": json.dumps(details, default=str),
            }
        )

    def taken(self) -> list[Row]:
        """Return the pending events and forget them."""
        events, self.pending = self.pending, []
        return events


def now() -> datetime:
    """Return the time in UTC, without a zone, as the audit tables hold it."""
    return datetime.now(UTC).replace(tzinfo=None)


def operator() -> str:
    """Return who runs this, as the system names them: user@host."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"


def event_details(warehouse: Warehouse, run_id: str, action: str) -> Row | None:
    """Return the details of a step of a run; None when the run has not done it."""
    query = "select details from audit.fct_run_events where run_id = ? and action = ? order by event_time limit 1"
    events = warehouse.rows(query, [run_id, action])
    details: Row | None = json.loads(events[0]["details"]) if events else None
    return details


def totals(warehouse: Warehouse, entity: str) -> Row:
    """Return the counts of the last build: the row of `validation.int_<entity>_totals`."""
    found = warehouse.rows(f"select * from validation.int_{entity}_totals")  # noqa: S608 - the entity has a card
    if not found:
        raise GateClosed(f"{warehouse.path}: nothing has been validated yet; run: dbt build")
    return found[0]


def keep_validation(warehouse: Warehouse, journal: Journal, invocation_id: str, changed: Sequence[str]) -> None:
    """Copy the verdicts and issues of a build, and the cells of the fields `changed`, in one transaction.

    One field after the other: DuckDB would compare all of them with the file at once, and hold it once for each.

    Raises:
        StoppedEarly: the database has another build by now.

    """
    with warehouse.connection() as connection:
        of_build = f"select 1 from validation.int_{journal.entity}_totals where invocation_id = ?"  # noqa: S608 - a card's name
        if not fetch(connection, of_build, [invocation_id]):
            raise StoppedEarly(f"{REPLACED}; nothing was posted: run the same command again")
        _copy(connection, journal, "fct_records")
        _copy(connection, journal, "fct_issues")
        for name in changed:
            _copy(connection, journal, "fct_changes", f"where field = '{name}'")
        if events := journal.taken():
            insert(connection, "fct_run_events", events)


def insert_run(connection: Any, database: Path, row: Row) -> None:
    """Append a row to `fct_runs`, on a connection that is open already.

    Raises:
        StoppedEarly: the run has a row already; the transaction is rolled back with it.

    """
    if fetch(connection, "select 1 from audit.fct_runs where run_id = ?", [row["run_id"]]):
        raise StoppedEarly(_closed_by_another(database, f"run {row['run_id']} has a row in audit.fct_runs already"))
    insert(connection, "fct_runs", [row])


def insert_outcomes(connection: Any, database: Path, rows: Sequence[Row]) -> None:
    """Append the outcomes of records of one run to `fct_import_records`, on a connection that is open already.

    Raises:
        StoppedEarly: a record of them has an outcome of this run already; the transaction is rolled back with it.

    """
    insert(connection, "fct_import_records", rows)
    numbers = [row["record_number"] for row in rows]
    if twice := fetch(connection, _TWICE, [rows[0]["run_id"], min(numbers), max(numbers)]):
        what = f"record {twice[0]['record_number']} of run {rows[0]['run_id']} has an outcome already"
        raise StoppedEarly(_closed_by_another(database, what))


def _closed_by_another(database: Path, what: str) -> str:
    return (
        f"{database}: {what}: another run has closed this one, and it keeps nothing twice; run the same command again"
    )


def _copy(connection: Any, journal: Journal, table: str, condition: str = "") -> None:
    model, columns = _COPIED[table]
    connection.execute(
        f"insert into audit.{table} by name select ? as run_id, ? as entity_type, {columns} "  # noqa: S608
        f"from validation.{model.format(entity=journal.entity)} {condition}",
        [journal.run_id, journal.entity],
    )


def gate_facts(warehouse: Warehouse, card: Card, validated: Row) -> GateFacts:
    """Return what the gate judges by, read in one transaction; `validated` is the row of `totals`."""
    refused_records = validated["invalid_records"] + validated["parse_error_records"]
    relation = f"payload.{card.payload_model}"
    with warehouse.connection(read_only=True) as connection:
        built = fetch(
            connection,
            "select table_type from information_schema.tables where table_schema || '.' || table_name = ?",
            [relation],
        )
        if not built:
            return GateFacts(is_built=False, refused_records=refused_records)
        tested = fetch(
            connection,
            "select payloads.invocation_id, payloads.digest from audit.fct_dbt_payloads as payloads "
            "inner join audit.fct_dbt_invocations as invocations using (invocation_id) "
            "where entity_type = ? order by finished_at desc limit 1",
            [card.entity],
        )
        compared = tested and tested[0]["digest"]
        found = fetch(connection, "select * from contract.payload_digest(?)", [relation])[0] if compared else None
        results = fetch(
            connection,
            "with attempts as ("
            "  select invocation_id from audit.fct_dbt_results "
            "  inner join audit.fct_dbt_invocations using (invocation_id) "
            "  where entity_type = ? and name = ? and status <> 'not_run' order by finished_at desc limit 1"
            ") select invocation_id, name, resource_type, status from audit.fct_dbt_results "
            "inner join attempts using (invocation_id) where entity_type = ?",
            [card.entity, card.payload_model, card.entity],
        )
        published = fetch(connection, _PUBLISHED, [card.entity])
    return GateFacts(
        is_built=True,
        digest=found["digest"] if found else None,
        invocation_ids=(validated["invocation_id"], *(found["invocation_ids"] if found else ())),
        built_by=tested[0]["invocation_id"] if tested else None,
        last_attempt_by=results[0]["invocation_id"] if results else None,
        tested_digest=tested[0]["digest"] if tested else None,
        results=tuple(NodeResult(row["name"], row["resource_type"], row["status"]) for row in results),
        refused_records=refused_records,
        is_written=built[0]["table_type"] == "BASE TABLE",
        card_changed=published != [_as_published(field) for field in card.fields],
    )


def _as_published(field: Field) -> Row:
    return {
        "field": field.name,
        "source_column": field.source_column,
        "is_key": field.is_key,
        "is_required": field.is_required,
        "max_length": field.max_length,
        "format": field.format,
        "counts": field.counts,
        "enum_values": None if field.enum_values is None else list(field.enum_values),
    }


def read_batch(warehouse: Warehouse, card: Card, invocation_id: str, numbers: Sequence[int]) -> list[PayloadRecord]:
    """Return the payload records with these numbers, in their order, of the invocation that was tested."""
    fields = [field.name for field in card.fields]
    names = ", ".join(f'"{name}"' for name in fields)
    rows = warehouse.rows(
        f"select record_number, line_number, record_hash, {names} from payload.{card.payload_model} "  # noqa: S608
        f"where invocation_id = ? and record_number between ? and ? and record_number in (select unnest({NUMBERS}))",
        [invocation_id, min(numbers), max(numbers), in_bulk(numbers)],
    )
    found = {row["record_number"]: row for row in rows}
    return [payload_record(found[number], fields, card.key) for number in numbers if number in found]
