"""The files of a run: exports of its audit rows as JSON, and its records as two CSVs."""

from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from loader.audit.journal import STATS_COUNTS, RunRow, event_details
from loader.card import read_card
from loader.delivery.resume import POSTING_ENDED
from loader.landing.spool import ROW_GROUP
from loader.reports.decisions import as_document, dates_of_file, unknown_values
from loader.reports.files import Entries, OutputFile, keep_files, write_json
from loader.reports.records import export_records
from loader.run.job import IMPORT, VALIDATE_ONLY
from loader.run.source import SOURCE_READ
from loader.run.verify import READ_BACK
from loader.storage.warehouse import Warehouse

# Of the unknown values; all of them are in `validation.int_<entity>_unmapped_values`.
_MOST_VALUES = 1_000
_INVALID = """
    select
        record_number as row_number, line_number, reference_number,
        {'file': $source_file, 'record_hash': record_hash} as source,
        list({
            'code': code, 'field': field, 'message': message, 'value': value, 'counted': counted, 'allowed': allowed,
            'suggestion': suggestion, 'how_to_fix': how_to_fix
        } order by code, field, message, value) as errors
    from audit.fct_issues
    where run_id = $run_id and severity = 'error' and record_number in (
        select record_number from audit.fct_records where run_id = $run_id and status in ('invalid', 'parse_error')
    )
    group by record_number, line_number, reference_number, record_hash
    order by record_number
"""
_WARNINGS = """
    select
        record_number as row_number, line_number, reference_number,
        {'file': $source_file, 'record_hash': record_hash} as source,
        code, field, message, value, counted, allowed, suggestion, how_to_fix
    from audit.fct_issues where run_id = $run_id and severity = 'warning'
    order by record_number, code, field, message, value
"""
_EXCEPTED = """
    select record_number as row_number, line_number, reference_number, exception_reason
    from audit.fct_records where run_id = $run_id and status = 'excepted'
    order by record_number
"""
_TRAIL = """
    select
        strftime(timestamp, '%Y-%m-%dT%H:%M:%S.%gZ') as timestamp, run_id, action, entity_type, row_number,
        source_hash, details::json as details
    from audit.rpt_audit_trail where run_id = $run_id{kept}
    order by rpt_audit_trail.timestamp, row_number nulls last, action, if(row_number is null, details, null)
"""
_VALIDATED = "select max(event_time) as event_time from audit.fct_run_events where run_id = ? and action = 'validated'"
_REQUESTS = "select coalesce(sum(requests), 0)::bigint as requests from audit.rpt_import_summary where run_id = ?"
# As text of the query and not as a parameter, so that DuckDB never works the left out entries out.
_NO_CHANGES = " and action <> 'record_transformed'"
# How many records' changes are listed at once; a longer trail is made in parts.
_RECORDS_AT_ONCE = 2 * ROW_GROUP
_IMPORTED = """
    select
        record_number as row_number, line_number, reference_number, result, confirmed_by, status_code, attempts,
        response_time_ms, api_id, error_message, strftime(attempted_at, '%Y-%m-%dT%H:%M:%S.%gZ') as timestamp,
        verdict, differing_fields
    from audit.fct_import_records
    left join (select record_number, verdict, differing_fields from audit.fct_readback where run_id = $run_id)
        using (record_number)
    where run_id = $run_id
    order by record_number
"""


def export_run(warehouse: Warehouse, run: RunRow, output: Path) -> list[OutputFile]:
    """Write the files of a finished run, and what they are to `audit.fct_output_files`; return them.

    Raises StoppedEarly where a file cannot be written, or another dbt invocation has replaced the records of the run;
    the audit rows are committed already.
    """
    reports = write_reports(warehouse, run, output)
    keep_files(warehouse, run.run_id, run.entity_type, reports)
    records = export_records(warehouse, run, read_card(run.entity_type), output)
    keep_files(warehouse, run.run_id, run.entity_type, records)
    return reports + records


def write_reports(warehouse: Warehouse, run: RunRow, folder: Path) -> list[OutputFile]:
    """Write the JSON files of a finished run, which are the same bytes whenever they are made; return them.

    Every order in them is total, and everything in them is in `audit`, where a finished run gets no further row. Raises
    StoppedEarly where a file cannot be written.
    """
    of_entity = f"{run.entity_type}_{run.run_id}"
    files = [
        write_json(folder / f"validation_{of_entity}.json", _validation_document(warehouse, run), "validation"),
        write_json(folder / f"stats_{of_entity}.json", stats_document(run), "stats"),
        write_json(folder / f"audit_{run.run_id}.json", audit_document(warehouse, run), "audit"),
    ]
    if run.mode == IMPORT:
        summary = _import_document(warehouse, run)
        files.append(write_json(folder / f"import_summary_{run.run_id}.json", summary, "import_summary"))
    return files


def stats_document(run: RunRow) -> dict[str, Any]:
    """Return the counts of a run under the names of the runbook, and the ledger that closes."""
    return {
        "entity_type": run.entity_type,
        "run_id": run.run_id,
        "start_time": _iso(run.start_time),
        "end_time": _iso(run.end_time),
        "duration_seconds": run.duration_seconds,
        "total_records": run.total_records,
        "valid_records": run.ready_records,
        "invalid_records": run.invalid_records + run.parse_error_records,
        "imported_records": run.created_records,
        "skipped_records": run.exists_records,
        "failed_records": run.failed_records,
        "ledger": run.counts(STATS_COUNTS) | {"closes": run.closes},
    }


def _validation_document(warehouse: Warehouse, run: RunRow) -> dict[str, Any]:
    """Return the validation report of a run: its summary, every invalid record with all its errors, every warning."""
    of_run = {"run_id": run.run_id}
    of_file = of_run | {"source_file": run.source_file}
    return {
        "run_id": run.run_id,
        "entity_type": run.entity_type,
        "source": {"file": run.source_file, "sha256": run.source_sha256}
        | (event_details(warehouse, run.run_id, SOURCE_READ) or {}),
        "summary": {
            "total_records": run.total_records,
            "valid_records": run.ready_records,
            "invalid_records": run.invalid_records + run.parse_error_records,
            "warnings": run.warnings,
            "success_rate": round(100 * run.ready_records / run.total_records, 2),
        },
        "output_hash": run.output_hash,
        **as_document(dates_of_file(warehouse, run.run_id), *unknown_values(warehouse, run.run_id, _MOST_VALUES)),
        "invalid_records": Entries(warehouse.json_texts(_INVALID, of_file)),
        "warnings": Entries(warehouse.json_texts(_WARNINGS, of_file)),
        "excepted_records": Entries(warehouse.json_texts(_EXCEPTED, of_run)),
    }


def audit_document(warehouse: Warehouse, run: RunRow, at_once: int = _RECORDS_AT_ONCE) -> Entries:
    """Return the audit trail of a run in the order of time; changed cells are left out where nothing is to be sent."""
    parts = [_TRAIL.replace("{kept}", part) for part in _trail_parts(warehouse, run, at_once)]
    return Entries(chain.from_iterable(warehouse.json_texts(part, {"run_id": run.run_id}) for part in parts))


def _trail_parts(warehouse: Warehouse, run: RunRow, at_once: int) -> list[str]:
    """Return the conditions that divide a long audit trail, in its order: DuckDB lists the changes of a part in memory.

    All changes have the time of the validation; there they are in the order of their records.
    """
    validated = warehouse.rows(_VALIDATED, [run.run_id])[0]["event_time"]
    if run.mode == VALIDATE_ONLY or validated is None:
        return [_NO_CHANGES]
    if run.total_records <= at_once:
        return [""]
    at = f"timestamp '{validated}'"
    ranges = range(1, run.total_records + 1, at_once)
    return [
        f"{_NO_CHANGES} and timestamp < {at}",
        *(f" and timestamp = {at} and row_number between {first} and {first + at_once - 1}" for first in ranges),
        f"{_NO_CHANGES} and timestamp = {at} and row_number is null",
        f"{_NO_CHANGES} and timestamp > {at}",
    ]


def _import_document(warehouse: Warehouse, run: RunRow) -> dict[str, Any]:
    """Return the import summary of a run: its counts and every record with what became of it."""
    return {
        "run_id": run.run_id,
        "entity_type": run.entity_type,
        "stats": stats_document(run),
        "api_summary": {
            "total": run.ready_records,
            "created": run.created_records,
            "skipped_exists": run.exists_records,
            "failed": run.failed_records,
            "unknown": run.unknown_records,
            "not_attempted": run.not_attempted_records,
            "requests": warehouse.rows(_REQUESTS, [run.run_id])[0]["requests"],
            "stopped_because": run.stopped_because,
        },
        "posting": event_details(warehouse, run.run_id, POSTING_ENDED),
        "readback": event_details(warehouse, run.run_id, READ_BACK),
        "import_records": Entries(warehouse.json_texts(_IMPORTED, {"run_id": run.run_id})),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds") + "Z"
