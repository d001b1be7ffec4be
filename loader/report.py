"""The JSON files of a run: exports of its audit rows, written whole or not at all."""

import json
import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from loader.audit import STATS_COUNTS
from loader.errors import StoppedEarly
from loader.warehouse import Row, Warehouse

Document = dict[str, Any] | list[Any]


def export_run(warehouse: Warehouse, run_id: str, output: Path) -> list[Path]:
    """Write the files of a finished run from its audit rows; return their paths.

    Raises:
        StoppedEarly: a file cannot be written. The audit rows are committed already.

    """
    run = warehouse.rows("select * from audit.fct_runs where run_id = ?", [run_id])[0]
    entity = run["entity_type"]
    documents: dict[str, Document] = {
        f"validation_{entity}_{run_id}.json": validation_document(warehouse, run),
        f"stats_{entity}_{run_id}.json": stats_document(run),
        f"audit_{run_id}.json": audit_document(warehouse, run_id),
    }
    if run["mode"] == "import":
        documents[f"import_summary_{run_id}.json"] = import_document(warehouse, run)
    return [write_json(output / name, document) for name, document in documents.items()]


def stats_document(run: Row) -> dict[str, Any]:
    """Return the counts of a run under the names of the runbook, and the ledger that closes."""
    return {
        "entity_type": run["entity_type"],
        "run_id": run["run_id"],
        "start_time": _iso(run["start_time"]),
        "end_time": _iso(run["end_time"]),
        "duration_seconds": run["duration_seconds"],
        "total_records": run["total_records"],
        "valid_records": run["ready_records"],
        "invalid_records": run["invalid_records"] + run["parse_error_records"],
        "imported_records": run["created_records"],
        "skipped_records": run["exists_records"],
        "failed_records": run["failed_records"],
        "ledger": {name: run[name] for name in STATS_COUNTS} | {"closes": run["closes"]},
    }


def validation_document(warehouse: Warehouse, run: Row) -> dict[str, Any]:
    """Return the validation report of a run: its summary, every invalid record with all its errors, every warning."""
    issues = warehouse.rows(
        "select records.status, issues.* from audit.fct_issues as issues inner join audit.fct_records as records "
        "using (run_id, record_number) where run_id = ? order by record_number, severity, code, field",
        [run["run_id"]],
    )
    invalid: dict[int, dict[str, Any]] = {}
    for issue in issues:
        if issue["severity"] == "error" and issue["status"] in ("invalid", "parse_error"):
            invalid.setdefault(issue["record_number"], _record(issue, run) | {"errors": []})["errors"].append(
                _issue(issue)
            )
    excepted = warehouse.rows(
        "select record_number, line_number, reference_number, exception_reason from audit.fct_records "
        "where run_id = ? and status = 'excepted' order by record_number",
        [run["run_id"]],
    )
    total, valid = run["total_records"], run["ready_records"]
    return {
        "run_id": run["run_id"],
        "entity_type": run["entity_type"],
        "source": {"file": run["source_file"], "sha256": run["source_sha256"]},
        "summary": {
            "total_records": total,
            "valid_records": valid,
            "invalid_records": run["invalid_records"] + run["parse_error_records"],
            "warnings": run["warnings"],
            "success_rate": round(100 * valid / total, 2),
        },
        "output_hash": run["output_hash"],
        "invalid_records": list(invalid.values()),
        "warnings": [_record(issue, run) | _issue(issue) for issue in issues if issue["severity"] == "warning"],
        "excepted_records": [_renumbered(row) for row in excepted],
    }


def audit_document(warehouse: Warehouse, run_id: str) -> list[Row]:
    """Return the audit trail of a run in the order of time."""
    trail = warehouse.rows(
        "select timestamp, run_id, action, entity_type, row_number, source_hash, details from audit.rpt_audit_trail "
        "where run_id = ? order by timestamp, row_number nulls last, action",
        [run_id],
    )
    return [row | {"timestamp": _iso(row["timestamp"]), "details": json.loads(row["details"])} for row in trail]


def import_document(warehouse: Warehouse, run: Row) -> dict[str, Any]:
    """Return the import summary of a run: its counts and every record with what became of it."""
    records = warehouse.rows(
        "select record_number as row_number, line_number, reference_number, result, confirmed_by, status_code, "
        "attempts, response_time_ms, api_id, error_message, attempted_at as timestamp "
        "from audit.fct_import_records where run_id = ? order by record_number",
        [run["run_id"]],
    )
    return {
        "run_id": run["run_id"],
        "entity_type": run["entity_type"],
        "stats": stats_document(run),
        "api_summary": {
            "total": run["ready_records"],
            "created": run["created_records"],
            "skipped_exists": run["exists_records"],
            "failed": run["failed_records"],
            "unknown": run["unknown_records"],
            "not_attempted": run["not_attempted_records"],
            "requests": sum(record["attempts"] for record in records),
            "stopped_because": run["stopped_because"],
        },
        "import_records": [record | {"timestamp": _iso(record["timestamp"])} for record in records],
    }


def write_json(path: Path, document: Document) -> Path:
    """Write a document to a temporary file, flush it to the disk and rename it, so that no reader sees half of it.

    Raises:
        StoppedEarly: the folder or the disk does not take it.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=".", suffix=".tmp", delete=False, encoding="utf-8"
        ) as file:
            temporary = Path(file.name)
            try:
                json.dump(document, file, indent=2, ensure_ascii=False, default=str)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
                temporary.rename(path)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoppedEarly(
            f"{path}: cannot be written ({error.strerror}); the audit tables hold everything: "
            "free the disk or correct ETL_OUTPUT_DIR, then run the same command again"
        ) from error
    return path


def _record(issue: Row, run: Row) -> dict[str, Any]:
    return {
        "row_number": issue["record_number"],
        "line_number": issue["line_number"],
        "reference_number": issue["reference_number"],
        "source": {"file": run["source_file"], "record_hash": issue["record_hash"]},
    }


def _issue(issue: Row) -> dict[str, Any]:
    return {
        name: issue[name]
        for name in ("code", "field", "message", "value", "counted", "allowed", "suggestion", "how_to_fix")
    }


def _renumbered(row: Row) -> Row:
    return {"row_number" if name == "record_number" else name: value for name, value in row.items()}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds") + "Z"
