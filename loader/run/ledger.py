"""The accounting of a run: every record's fate in `audit`, the counts that must close, the exit code."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace

from loader.audit.journal import Journal, RunRow, RunStart, Validated, closed_by_another, insert_run, now
from loader.audit.seals import seal_audit
from loader.delivery.record import Outcome, PayloadRecord
from loader.delivery.resume import keep_not_attempted
from loader.delivery.verdict import Result
from loader.errors import OK, SOME_RECORDS, EtlError, StoppedEarly
from loader.run.job import Run
from loader.storage.warehouse import Row, Warehouse, fetch, insert

# A threshold in the card can open the gate for the other records; the run is still not a clean one.
_AT_FAULT = ("parse_error_records", "invalid_records", "failed_records", "unknown_records")
# An index would have to be kept up to date for all rows of all runs; DuckDB skips what has no record between the two.
_TWICE = """
    select record_number from audit.fct_import_records where run_id = ? and record_number between ? and ?
    group by record_number having count(*) > 1 order by record_number limit 1
"""


def commit_intents(warehouse: Warehouse, journal: Journal, records: Sequence[PayloadRecord]) -> None:
    """Write that these records are about to be sent, before any of them is."""
    moment = now()
    warehouse.insert("fct_intents", [_of(journal, record) | {"intended_at": moment} for record in records])


def commit_outcomes(warehouse: Warehouse, journal: Journal, outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes of one batch, and the steps since the last commit, in one transaction.

    Raises StoppedEarly, and writes nothing, where a record of them has an outcome of this run already.
    """
    journal.note("batch_committed", records=len(outcomes))
    numbers = [outcome.record.record_number for outcome in outcomes]
    with warehouse.connection() as connection:
        insert(connection, "fct_import_records", [_row(journal, outcome) for outcome in outcomes])
        if twice := fetch(connection, _TWICE, [journal.run_id, min(numbers), max(numbers)]):
            what = f"record {twice[0]['record_number']} of run {journal.run_id} has an outcome already"
            raise closed_by_another(warehouse.path, what)
        if attempts := [row for outcome in outcomes for row in _attempts(journal, outcome)]:
            insert(connection, "fct_attempts", attempts)
        journal.write(connection)


def keep_refusal(run: Run, error: EtlError) -> None:
    """Leave a sealed trace of a run that was refused, where dbt has built the audit tables to leave it in."""
    run.journal.note("run_refused", reason=str(error), exit_code=error.exit_code)
    # The error that ended the run is what the operator has to see.
    with suppress(EtlError):
        run.warehouse.rows("select run_id from audit.fct_run_events limit 0")
        with run.warehouse.connection() as connection:
            run.journal.write(connection)
        seal_audit(run.warehouse, run.console.notice)


def run_start(run: Run) -> RunStart:
    """Return what is known of a run once its file is validated."""
    job, totals = run.job, run.totals
    return RunStart(
        **{column.name: getattr(totals, column.name) for column in fields(Validated)},
        run_id=run.run_id,
        mode=job.mode,
        environment=job.environment,
        address=job.target.address if job.target else None,
        entity_type=job.card.entity,
        batch_size=job.batch_size,
        start_time=run.started,
        total_records=totals.source_records,
        gate=str(run.closed_by) if run.closed_by else "open",
    )


def close_run(run: Run) -> RunRow:
    """Account for the records that were never sent, write the run's row with its counts, and return it."""
    ended = now()
    run.results[Result.NOT_ATTEMPTED] += run.totals.ready_records - run.results.total()
    results = {result.value: records for result, records in run.results.items()}
    row = run_start(run).ended(results, ended, run.pace.reason)
    row = replace(row, duration_seconds=round((ended - run.started).total_seconds(), 3), exit_code=_exit_code(run, row))
    run.journal.note("run_finished", exit_code=row.exit_code, closes=row.closes)
    with run.warehouse.connection() as connection:
        if run.job.target:
            keep_not_attempted(connection, run.run_id)
        insert_run(connection, run.warehouse.path, row)
        run.journal.write(connection)
    return row


def _exit_code(run: Run, row: RunRow) -> int:
    if run.closed_by:
        return run.closed_by.exit_code
    if run.job.target and (row.not_attempted_records or run.pace.reason):
        return StoppedEarly.exit_code
    if run.readback and run.readback.unproven:
        return SOME_RECORDS
    return OK if row.closes and not any(row.counts(_AT_FAULT).values()) else SOME_RECORDS


def _of(journal: Journal, record: PayloadRecord) -> Row:
    names = ("record_number", "line_number", "reference_number", "record_hash")
    of_record = {name: getattr(record, name) for name in names}
    return {"run_id": journal.run_id, "entity_type": journal.entity} | of_record


def _row(journal: Journal, outcome: Outcome) -> Row:
    known = {name: value for name, value in vars(outcome).items() if name not in ("record", "tried")}
    return _of(journal, outcome.record) | known | {"result": outcome.result.value}


def _attempts(journal: Journal, outcome: Outcome) -> list[Row]:
    of_record = _of(journal, outcome.record)
    return [
        of_record | {"attempt": number, **vars(attempt), "next_action": attempt.next_action.value}
        for number, attempt in enumerate(outcome.tried, 1)
    ]
