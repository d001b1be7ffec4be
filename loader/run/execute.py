"""One run, from the source file to the summary that closes: build, gate, post, account."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from loader.audit.journal import RunRow, operator
from loader.card import entities, read_card
from loader.errors import DatabaseLocked, EtlError, GateClosed, RecordsRefused, Refused, SourceRefused, StoppedEarly
from loader.landing.dates import dates_variables
from loader.landing.dialect import dialect_variables
from loader.landing.source import check_source
from loader.run.dbt import Build, dbt_build
from loader.run.gate import check_gate
from loader.run.job import VALIDATE_ONLY, Run
from loader.run.ledger import close_run, keep_refusal
from loader.run.payload import REPLACED, Totals, dated_cells, gate_facts, keep_validation, totals
from loader.run.post import close_dead_runs, post
from loader.run.source import SOURCE_READ, source_read
from loader.run.verify import read_back
from loader.steps import Step, step


def execute(run: Run) -> RunRow:
    """Carry the run out, whose lock the caller holds, and return its row of `audit.fct_runs`.

    Raises EtlError where the run was refused before anything was posted; `audit` says so, no file was written.
    """
    job = run.job
    asked = {"mode": job.mode, "environment": job.environment, "source": job.source, "operator": operator()}
    how = dialect_variables(job.dialect) | dates_variables(job.dates)
    run.journal.note("run_started", **asked, **how, columns=job.dialect.columns)
    try:
        _prepare(run)
        posts = run.job.target if run.closed_by is None else None
        if posts:
            close_dead_runs(run)
    except EtlError as error:
        if not isinstance(error, DatabaseLocked):
            keep_refusal(run, error)
        raise
    if posts:
        post(run, posts)
        if run.job.verify and not run.pace.stopping:
            read_back(run, posts)
    with run.warehouse.held(), step(Step.CLOSE_RUN):
        return close_run(run)


def _prepare(run: Run) -> None:
    """Probe and build, then keep what validation found and judge the gate."""
    job = run.job
    if job.source:
        _check_source(run, job.source)
    run.warehouse.wait_until_free()
    with step(Step.PROBE):
        keep_probe = job.target.probe(run) if job.target else None
    try:
        build = _build(run, job.source) if job.source else None
    except EtlError as error:
        # The error that ended the run is what the operator has to see.
        if keep_probe and not isinstance(error, DatabaseLocked):
            with suppress(EtlError):
                keep_probe()
        raise
    with run.warehouse.held():
        if keep_probe:
            keep_probe()
        _keep_and_judge(run, build)


def _keep_and_judge(run: Run, build: Build | None) -> None:
    job = run.job
    run.totals = totals(run.warehouse, job.card.entity)
    if build:
        _check_own(build, run.totals)
    run.journal.source_hash = run.totals.source_sha256
    run.journal.note(SOURCE_READ, **source_read(job.card, run.totals).details())
    run.journal.note("validated", **_validated(run))
    # A validation sends nothing: what staging changed is in `validation` until the next build, and is not kept.
    with step(Step.KEEP_VALIDATION):
        fields = () if job.mode == VALIDATE_ONLY else [field.name for field in job.card.fields]
        keep_validation(run.warehouse, run.journal, run.totals.invocation_id, fields)
    _judge_gate(run)


def _validated(run: Run) -> dict[str, Any]:
    """Return what the step says of a validation; the reports read it there, also when they are made again."""
    found = run.totals
    dated = dated_cells(run.warehouse, found, run.job.card.entity)
    return {
        "output_hash": found.output_hash,
        "ready_records": found.ready_records,
        "date_order": found.date_order,
        "assume_zone": found.assume_zone,
        "dates": [of_field | {"read": dated.get(of_field["field"], 0)} for of_field in found.dates],
    }


def _check_source(run: Run, source: Path) -> None:
    """Refuse a file that cannot be landed; where it has the columns of another entity, name that."""
    job, limits = run.job, run.settings.source
    try:
        check_source(source, job.card.source_columns, job.dialect, limits)
    except SourceRefused as refusal:
        fitting = [name for name in entities() if name != job.card.entity and _fits(source, name, run)]
        if not fitting:
            raise
        raise SourceRefused(
            f"{refusal}; it has the columns of another entity: --entity-type {' or '.join(fitting)}"
        ) from refusal


def _fits(source: Path, entity: str, run: Run) -> bool:
    try:
        check_source(source, read_card(entity).source_columns, run.job.dialect, run.settings.source)
    except SourceRefused:
        return False
    return True


def _check_own(build: Build, found: Totals) -> None:
    """Raise StoppedEarly when the last validation is not that of our own dbt, of the very file that was scanned."""
    if (found.invocation_id, found.source_sha256) != (build.invocation_id, build.source_sha256):
        raise StoppedEarly(
            f"the database has dbt's build {found.invocation_id} of {found.source_file}, not this run's own "
            f"{build.invocation_id}: another dbt invocation came between; nothing was posted, run the command again"
        )


def _build(run: Run, source: Path) -> Build:
    with step(Step.BUILD):
        build = dbt_build(source, run)
    tests = {"tests_passed": build.tests_passed, "tests_failed": build.tests_failed}
    run.journal.note("built", invocation_id=build.invocation_id, **tests)
    if not build.complete:
        raise Refused(_refusal(run, build))
    return build


def _refusal(run: Run, build: Build) -> str:
    """Return why dbt stopped: in the words of a failed test whose rows have a `refusal`, where there is one."""
    for relation in build.failures:
        rows = run.warehouse.rows(f"select * from {relation}")  # noqa: S608 - a name of our own models
        if refusals := [row["refusal"] for row in rows if "refusal" in row]:
            more = f" ({len(refusals) - 1} more such lines)" if len(refusals) > 1 else ""
            return f"{refusals[0]}; then run the same command again{more}"
    return f"dbt stopped before it validated the file: {', '.join(build.tests_failed)} failed; see logs/dbt.log"


def _judge_gate(run: Run) -> None:
    facts = gate_facts(run.warehouse, run.job.card, run.totals)
    if run.job.source and facts.last_attempt_by != run.totals.invocation_id:
        raise StoppedEarly(f"{REPLACED}; nothing was posted: run the same command again")
    try:
        check_gate(facts, sends=run.job.target is not None)
        run.journal.note("gate_opened", invocation_id=run.totals.invocation_id)
    except (GateClosed, RecordsRefused) as error:
        run.closed_by = error
        run.journal.note("gate_closed", reason=str(error))
