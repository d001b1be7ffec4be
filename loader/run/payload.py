"""Reads and keeps what dbt has built."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from loader.audit.journal import Journal, Validated
from loader.card import Card, Field
from loader.delivery.record import PayloadRecord
from loader.errors import GateClosed, StoppedEarly
from loader.run.gate import GateFacts, NodeResult
from loader.storage.warehouse import NUMBERS, Row, Warehouse, fetch, in_bulk

REPLACED = "another dbt invocation has replaced what this run has validated"

# The card as the last build had it.
_COMPARED = ("source_column", "is_key", "is_required", "max_length", "min_length", "format", "counts")
_PUBLISHED = f"""
    select field as name, {", ".join(_COMPARED)}, list_sort(enum_values) as enum_values
    from contract.dim_payload_fields where entity = ? order by field_position
"""  # noqa: S608 - our own names
_RECORD = "record_number, line_number, reference_number, record_hash"
# What is copied of `validation.int_<entity>_<name>` to `audit.fct_<name>`.
_COPIED = {
    "records": f"{_RECORD}, status, exception_reason",
    "issues": f"{_RECORD}, severity, code, field, value, counted, allowed, suggestion, message, how_to_fix",
    "changes": "record_number, line_number, reference_number, field, before, after, rule",
}
_BUILT = "select table_type from information_schema.tables where table_schema || '.' || table_name = ?"
_TESTED = """
    select payloads.invocation_id, payloads.digest
    from audit.fct_dbt_payloads as payloads inner join audit.fct_dbt_invocations using (invocation_id)
    where entity_type = ? order by finished_at desc limit 1
"""
# How the nodes fared in the last invocation that tried to build the payload.
_RESULTS = """
    with attempts as (
        select invocation_id
        from audit.fct_dbt_results inner join audit.fct_dbt_invocations using (invocation_id)
        where entity_type = $entity and name = $model and status <> 'not_run' order by finished_at desc limit 1
    )

    select invocation_id, name, resource_type, status
    from audit.fct_dbt_results inner join attempts using (invocation_id) where entity_type = $entity
"""


@dataclass(frozen=True)
class Totals(Validated):
    """The row of `validation.int_<entity>_totals`: what a build has found in its file.

    `renamed_columns` has what the file calls those of our source columns that it gives another name; `source_columns`
    are its own names. `dates` has the cells of each date that are no accepted ones, counted by the order in which they
    can be read.
    """

    source_columns: list[str]
    source_records: int
    source_blank_lines: int
    is_export: bool
    source_profile: str | None
    renamed_columns: dict[str, str]
    source_notices: list[str]
    date_order: str | None
    assume_zone: str | None
    dates: list[Row]

    def column_of_file(self, source_column: str) -> str:
        """Return what the file calls a source column of ours."""
        return self.renamed_columns.get(source_column, source_column)


def totals(warehouse: Warehouse, entity: str) -> Totals:
    """Return the counts of the last build."""
    names = ", ".join(column.name for column in fields(Totals))
    found = warehouse.rows(f"select {names} from validation.int_{entity}_totals")  # noqa: S608 - the entity has a card
    if not found:
        raise GateClosed(f"{warehouse.path}: nothing has been validated yet; run: dbt build")
    return Totals(**found[0])


def dated_cells(warehouse: Warehouse, validated: Totals, entity: str) -> dict[str, int]:
    """Return how many cells of each date were read as --date-order and --assume-zone say."""
    if not (validated.date_order or validated.assume_zone):
        return {}
    query = f"select field, count(*) as cells from validation.int_{entity}_changes where rule = 'dated' group by field"  # noqa: S608
    return {row["field"]: row["cells"] for row in warehouse.rows(query)}


def keep_validation(warehouse: Warehouse, journal: Journal, invocation_id: str, changed: Sequence[str]) -> None:
    """Copy the verdicts and issues of a build, and the cells of the fields `changed`, in one transaction.

    One field after the other: DuckDB would compare all of them with the file at once, and hold it once for each. Raises
    StoppedEarly where the database has another build by now.
    """
    with warehouse.connection() as connection:
        of_build = f"select 1 from validation.int_{journal.entity}_totals where invocation_id = ?"  # noqa: S608 - a card's name
        if not fetch(connection, of_build, [invocation_id]):
            raise StoppedEarly(f"{REPLACED}; nothing was posted: run the same command again")
        _copy(connection, journal, "records")
        _copy(connection, journal, "issues")
        for name in changed:
            _copy(connection, journal, "changes", f"where field = '{name}'")
        journal.write(connection)


def _copy(connection: Any, journal: Journal, name: str, condition: str = "") -> None:
    connection.execute(
        f"insert into audit.fct_{name} by name select ? as run_id, ? as entity_type, {_COPIED[name]} "  # noqa: S608
        f"from validation.int_{journal.entity}_{name} {condition}",
        [journal.run_id, journal.entity],
    )


def gate_facts(warehouse: Warehouse, card: Card, validated: Totals) -> GateFacts:
    """Return what the gate judges by, read in one transaction."""
    refused_records = validated.invalid_records + validated.parse_error_records
    relation = f"payload.{card.payload_model}"
    with warehouse.connection(read_only=True) as connection:
        built = fetch(connection, _BUILT, [relation])
        if not built:
            return GateFacts(is_built=False, refused_records=refused_records)
        tested = next(iter(fetch(connection, _TESTED, [card.entity])), {"invocation_id": None, "digest": None})
        found: Row = {"digest": None, "invocation_ids": ()}
        if tested["digest"]:
            (found,) = fetch(connection, "select * from contract.payload_digest(?)", [relation])
        results = fetch(connection, _RESULTS, {"entity": card.entity, "model": card.payload_model})
        published = fetch(connection, _PUBLISHED, [card.entity])
    return GateFacts(
        is_built=True,
        digest=found["digest"],
        invocation_ids=(validated.invocation_id, *found["invocation_ids"]),
        built_by=tested["invocation_id"],
        last_attempt_by=results[0]["invocation_id"] if results else None,
        tested_digest=tested["digest"],
        results=tuple(NodeResult(row["name"], row["resource_type"], row["status"]) for row in results),
        refused_records=refused_records,
        is_written=built[0]["table_type"] == "BASE TABLE",
        card_changed=published != [_as_published(field) for field in card.fields],
    )


def _as_published(field: Field) -> Row:
    shown = {name: getattr(field, name) for name in ("name", *_COMPARED)}
    return shown | {"enum_values": None if field.enum_values is None else list(field.enum_values)}


def read_batch(warehouse: Warehouse, card: Card, invocation_id: str, numbers: Sequence[int]) -> list[PayloadRecord]:
    """Return the payload records with these numbers, in their order, of the invocation that was tested."""
    sent = [field.name for field in card.fields]
    names = ", ".join(f'"{name}"' for name in sent)
    rows = warehouse.rows(
        f"select record_number, line_number, record_hash, {names} from payload.{card.payload_model} "  # noqa: S608
        f"where invocation_id = ? and record_number between ? and ? and record_number in (select unnest({NUMBERS}))",
        [invocation_id, min(numbers), max(numbers), in_bulk(numbers)],
    )
    found = {row["record_number"]: _record(row, sent, card.key) for row in rows}
    return [found[number] for number in numbers if number in found]


def _record(row: Row, sent: Sequence[str], key: str) -> PayloadRecord:
    """Return the record of one row; fields that are null are left out of the body, not sent as null."""
    body = {field: row[field] for field in sent if row[field] is not None}
    return PayloadRecord(row["record_number"], row["line_number"], row["record_hash"], row[key], body)
