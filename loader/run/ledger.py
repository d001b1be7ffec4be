"""The accounting of a run: every record's fate in `audit`, the counts that must close, the exit code."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from loader.audit.journal import DELIVERY_COUNTS, FILE_COUNTS, Journal, insert_outcomes, insert_run, now
from loader.audit.seals import seal_audit
from loader.delivery.record import Outcome, PayloadRecord
from loader.delivery.resume import keep_not_attempted_query
from loader.delivery.verdict import Result
from loader.errors import OK, SOME_RECORDS, EtlError, StoppedEarly
from loader.run.job import Run
from loader.storage.warehouse import Row, Warehouse, insert

# A threshold in the card can open the gate for the other records; the run is still not a clean one.
_AT_FAULT = ("parse_error_records", "invalid_records", "failed_records", "unknown_records")


def commit_intents(warehouse: Warehouse, journal: Journal, records: Sequence[PayloadRecord]) -> None:
    """Write that these records are about to be sent, before any of them is."""
    moment = now()
    warehouse.insert("fct_intents", [_of(journal, record) | {"intended_at": moment} for record in records])


def commit_outcomes(warehouse: Warehouse, journal: Journal, outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes of one batch, and the events since the last commit, in one transaction."""
    journal.note("batch_committed", records=len(outcomes))
    with warehouse.connection() as connection:
        insert_outcomes(connection, warehouse.path, [_row(journal, outcome) for outcome in outcomes])
        if attempts := [row for outcome in outcomes for row in _attempts(journal, outcome)]:
            insert(connection, "fct_attempts", attempts)
        insert(connection, "fct_run_events", journal.taken())


def keep_refusal(warehouse: Warehouse, journal: Journal, error: EtlError, notify: Callable[[str], None]) -> None:
    """Leave a sealed trace of a run that was refused, where dbt has built the audit tables to leave it in."""
    journal.note("run_refused", reason=str(error), exit_code=error.exit_code)
    try:
        warehouse.rows("select run_id from audit.fct_run_events limit 0")
        warehouse.insert("fct_run_events", journal.taken())
        seal_audit(warehouse, notify)
    except EtlError:
        # The error that ended the run is what the operator has to see.
        return


def opened_row(run: Run) -> Row:
    """Return what is known of a run's row of `fct_runs` before it posts: all but how it ended."""
    row: Row = {
        "run_id": run.run_id,
        "mode": run.job.mode,
        "environment": run.job.environment,
        "address": run.job.target.address if run.job.target else None,
        "entity_type": run.job.card.entity,
        "batch_size": run.job.batch_size,
        "start_time": run.started,
        "total_records": run.totals["source_records"],
        "gate": str(run.closed_by) if run.closed_by else "open",
    }
    kept = ("source_file", "source_sha256", "invocation_id", "output_hash", "warnings", *FILE_COUNTS)
    return row | {name: run.totals[name] for name in kept}


def close_run(run: Run) -> Row:
    """Account for the records that were never sent, write the run's row with its counts, and return it."""
    ready, ended = run.totals["ready_records"], now()
    run.results[Result.NOT_ATTEMPTED] += ready - run.results.total()
    row = opened_row(run) | {
        "end_time": ended,
        "duration_seconds": round((ended - run.started).total_seconds(), 3),
        "stopped_because": run.pace.reason,
    }
    row |= {name: run.results[Result(name.removesuffix("_records"))] for name in DELIVERY_COUNTS}
    row["closes"] = row["total_records"] == sum(row[name] for name in FILE_COUNTS) and ready == sum(
        row[name] for name in DELIVERY_COUNTS
    )
    row["exit_code"] = _exit_code(run, row)
    run.journal.note("run_finished", exit_code=row["exit_code"], closes=row["closes"])
    with run.warehouse.connection() as connection:
        if run.job.target:
            connection.execute(keep_not_attempted_query(), [run.run_id])
        insert_run(connection, run.warehouse.path, row)
        insert(connection, "fct_run_events", run.journal.taken())
    return row


def _exit_code(run: Run, row: Row) -> int:
    if run.closed_by:
        return run.closed_by.exit_code
    if run.job.target and (row["not_attempted_records"] or run.pace.reason):
        return StoppedEarly.exit_code
    if run.readback.get("unproven"):
        return SOME_RECORDS
    return OK if row["closes"] and not any(row[name] for name in _AT_FAULT) else SOME_RECORDS


def _of(journal: Journal, record: PayloadRecord) -> Row:
    return {
        "run_id": journal.run_id,
        "entity_type": journal.entity,
        "record_number": record.record_number,
        "line_number": record.line_number,
        "reference_number": record.reference_number,
        "record_hash": record.record_hash,
    }


def _row(journal: Journal, outcome: Outcome) -> Row:
    return _of(journal, outcome.record) | {
        "result": outcome.result.value,
        "confirmed_by": outcome.confirmed_by,
        "status_code": outcome.status_code,
        "attempts": outcome.attempts,
        "response_time_ms": outcome.response_time_ms,
        "api_id": outcome.api_id,
        "error_message": outcome.error_message,
        "attempted_at": outcome.attempted_at,
    }


def _attempts(journal: Journal, outcome: Outcome) -> list[Row]:
    numbered = enumerate(outcome.tried, 1)
    return [
        _of(journal, outcome.record) | {"attempt": number, **asdict(attempt), "next_action": attempt.next_action.value}
        for number, attempt in numbered
    ]
