"""The summary of a run, for people and for machines."""

from collections.abc import Sequence
from typing import Any

from loader.audit.journal import DELIVERY_COUNTS, FILE_COUNTS, RunRow
from loader.audit.runs import known_run
from loader.console import Console, counted, shown
from loader.delivery.look_up import CONFIRMED
from loader.delivery.readback import ReadBack
from loader.landing.sql import EXPORT_COLUMNS
from loader.reports.advice import about_readback, after_run, needs_platform_team
from loader.reports.decisions import as_document, dates_of_file, unknown_values
from loader.reports.documents import stats_document
from loader.reports.files import OutputFile
from loader.run.job import DRY_RUN, IMPORT, Run
from loader.run.source import SourceRead, source_read

_NAMED = 5
# What reading back can find: whether it is ours, the verdict, and what that says.
_READINGS = (
    (True, "differs", "created records are stored otherwise than they were sent"),
    (True, "not_visible", "created records are not on the platform"),
    (False, "differs", "records that were there before differ from this file"),
    (False, "not_visible", "records that exist cannot be seen"),
)
_FOUND = """
    select line_number, reference_number, differing_fields, count(*) over () as records
    from audit.fct_readback where run_id = ? and verdict = ? and is_ours = ? order by record_number limit ?
"""
_EXAMPLES = 20
_GROUPS = 30
_VALUES = 10
_PROBLEMS = """
    with excepted as (
        select record_number, exception_reason from audit.fct_records where run_id = $run and status = 'excepted'
    ),
    issues as (
        select if(exception_reason is not null and severity = 'error', 'excepted', severity) as kind,
            record_number, line_number, code, coalesce(field, '') as field, message,
            if(kind = 'excepted', 'nothing: ' || exception_reason, how_to_fix) as how_to_fix
        from audit.fct_issues left join excepted using (record_number) where run_id = $run
    )
    select kind, code, field, count(*) as issues, min(line_number) as line_number, count(*) over () as groups,
        arg_min(message, record_number) as message, arg_min(how_to_fix, record_number) as how_to_fix
    from issues group by kind, code, field
    order by kind = 'excepted', kind, issues desc, code, field limit $most
"""


_CHANGES = """
    select field, rule, count(*) as cells from audit.fct_changes where run_id = ?
    group by field, rule order by field, rule
"""
_REFUSED = """
    select result, line_number, reference_number, status_code, error_message from audit.fct_import_records
    where run_id = ? and result in ('failed', 'unknown') order by record_number limit ?
"""


def summary_object(run: Run, row: RunRow, files: Sequence[OutputFile], exit_code: int) -> dict[str, Any]:
    """Return what `--json` prints: the counts of the stats file, the gate, the files, the exit code, the seal."""
    names = ("mode", "environment", "source_file", "output_hash", "warnings", "gate", "stopped_because")
    return (
        stats_document(row)
        | {name: getattr(row, name) for name in names}
        | as_document(dates_of_file(run.warehouse, row.run_id), *unknown_values(run.warehouse, row.run_id, _VALUES))
        | {"files": [str(file.path) for file in files], "exit_code": exit_code}
        | {"source": source_read(run.job.card, run.totals).details()}
        | {"readback": vars(run.readback) if run.readback else None}
        | {"seal": {"number": run.seal.number, "seal": run.seal.seal} if run.seal else None}
    )


def print_summary(console: Console, run: Run, row: RunRow, files: Sequence[OutputFile]) -> None:
    """Write the ledger, the problems, the files and the next command."""
    console.line(f"run {row.run_id}: {row.mode} of {shown(row.source_file)}")
    console.line(_ledger("records in the file", row.total_records, row, FILE_COUNTS))
    if row.mode == IMPORT and not run.closed_by:
        console.line(_ledger("ready", row.ready_records, row, DELIVERY_COUNTS, _confirmed(run)))
    console.line("the counts close" if row.closes else "THE COUNTS DO NOT CLOSE: report this run")
    console.line(f"output_hash {row.output_hash}")
    if run.seal:
        console.line(f"seal {run.seal.number}: {run.seal.seal}")
    _print_source(console, run)
    _print_problems(console, run)
    _print_unknown_values(console, run)
    _print_exceptions(console, run)
    if row.mode == DRY_RUN:
        for change in run.warehouse.rows(_CHANGES, [run.run_id]):
            console.line(f"transformed {change['field']}: {change['cells']} {change['rule']}")
    if row.mode == IMPORT:
        _print_delivery(console, run)
    for file in files:
        console.line(f"wrote {shown(file.path)}")
    rejected = next(file.path for file in files if file.kind == "rejected")
    if row.stopped_because and not needs_platform_team(row.stopped_because):
        console.line(f"stopped early: {row.stopped_because}")
    readback = vars(run.readback) if run.readback else {}
    console.line(str(after_run(known_run(run.warehouse, run.run_id), vars(row), readback, str(rejected))))


def _ledger(title: str, total: int, row: RunRow, names: Sequence[str], confirmed: int = 0) -> str:
    counts = row.counts(names).items()
    parts = {name: f"{name.removesuffix('_records').replace('_', ' ')} {count:,}" for name, count in counts}
    if confirmed:
        parts["created_records"] += f" ({confirmed:,} of them confirmed after a lost answer)"
    return f"{title} {total:,} = {' + '.join(parts.values())}"


def _confirmed(run: Run) -> int:
    """Return how many of the created records are known by a look-up, not by a 201 of their own."""
    query = "select count(*) as records from audit.fct_import_records where run_id = ? and confirmed_by = ?"
    return int(run.warehouse.rows(query, [run.run_id, CONFIRMED])[0]["records"])


def _print_source(console: Console, run: Run) -> None:
    """Say what of the file is no record and no known cell: its blank lines, its other columns, and ours."""
    if blank := run.totals.source_blank_lines:
        console.line(f"blank lines in the file, skipped: {blank:,}")
    if run.totals.is_export:
        console.paragraph(
            f"taken for one of our own CSV files, given back: columns named {', '.join(EXPORT_COLUMNS)} are left out, "
            "and the apostrophe before what a spreadsheet would run is taken away",
            indent=0,
        )
    read = source_read(run.job.card, run.totals)
    if read.profile:
        console.line(f"read by the source profile {read.profile!r}: {counted(len(read.columns), 'column')} renamed")
    for notice in read.notices:
        console.line(notice)
    _print_missing(console, read)
    for line in dates_of_file(run.warehouse, run.run_id).in_words:
        console.paragraph(line, indent=0)
    known = {*read.columns, *run.job.card.source_columns}
    if unknown := [name for name in run.totals.source_columns if name not in known]:
        names = ", ".join(repr(name[:40]) for name in unknown[:_EXAMPLES])
        columns = ", ".join(field.source_column for field in run.job.card.fields)
        console.line(f"warning: columns of the header that are not known, and not sent: {names}")
        console.paragraph(f"fix: nothing, or rename what was meant as one of {columns}", indent=2)


def _print_missing(console: Console, read: SourceRead) -> None:
    """Say which optional columns the file lacks, what is sent for them, and which of its columns may be meant."""
    for missing in read.missing_columns:
        records = counted(missing.records, "record")
        sent = "is sent without it" if missing.default is None else f"gets the default {missing.default!r}"
        sent = sent if missing.records == 1 else sent.replace("gets", "get").replace("is sent", "are sent")
        looks = f"; {missing.looks_like[:40]!r} looks like it" if missing.looks_like else ""
        console.line(f"warning: the file has no column {missing.column!r}, so {records} {sent}{looks}")
    likely = [missing for missing in read.missing_columns if missing.looks_like]
    if likely:
        pairs = ", ".join(f'"{missing.looks_like}" = "{missing.column}"' for missing in likely)
        console.paragraph(
            f"fix: nothing, or name them in the columns of a table [sources.{read.profile or 'NAME'}] of etl.toml "
            f"({pairs}), and give --source-profile {read.profile or 'NAME'}",
            indent=2,
        )


def _print_problems(console: Console, run: Run) -> None:
    """Write the problems by code and field: how many, the first one, what to do."""
    groups = run.warehouse.rows(_PROBLEMS, {"run": run.run_id, "most": _GROUPS})
    if not groups:
        return
    wide = [max(len(group[name]) for group in groups) for name in ("code", "field")]
    console.line()
    console.line(f"{'problem':<{10 + wide[0]}}  {'field':<{wide[1]}}  {'issues':>9}")
    for group in groups:
        cells = f"{group['code']:<{wide[0]}}  {group['field']:<{wide[1]}}  {group['issues']:>9,}"
        console.line(f"{group['kind']:<8}  {cells}")
        console.paragraph(f"line {group['line_number']}: {group['message']}", indent=2)
        console.paragraph(f"fix: {group['how_to_fix']}", indent=2)
    if groups[0]["groups"] > _GROUPS:
        console.line(f"... and {groups[0]['groups'] - _GROUPS} more kinds, all of them in the validation report")
    console.line()


def _print_unknown_values(console: Console, run: Run) -> None:
    """Write the values that enum_map.csv does not know, each once: a person decides on a value, not on its records."""
    values, of_all = unknown_values(run.warehouse, run.run_id, _VALUES)
    if not values:
        return
    console.line(f"unknown values: {of_all:,}, to be decided once each")
    for value in values:
        meant = f"; meant as {value.suggestion!r}?" if value.suggestion else ""
        lines = ", ".join(map(str, value.lines))
        console.line(f"  {value.records:>9,}  {value.field} {value.value!r} (line {lines}){meant}")
    if of_all > len(values):
        table = f"validation.int_{run.job.card.entity}_unmapped_values"
        console.line(f"  ... and {of_all - len(values):,} more, in {table}")
    console.line()


def _print_exceptions(console: Console, run: Run) -> None:
    """Write the documented exceptions that have no effect."""
    query = f"select * from validation.int_{run.job.card.entity}_exceptions"  # noqa: S608 - a card's name
    idle = f"{query} where state in ('expired', 'unused') order by all limit ?"
    for exception in run.warehouse.rows(idle, [_EXAMPLES]):
        of = exception["reference_number"] or f"record {exception['record_hash']}"
        console.line(
            f"warning: the exception of {of} from {exception['code']} is {exception['state']}; "
            "renew or remove its line in data/reference/documented_exceptions.csv"
        )


def _print_delivery(console: Console, run: Run) -> None:
    """Write what was refused, where the time of posting went, what the API's limits let through, and what is proven."""
    for record in run.warehouse.rows(_REFUSED, [run.run_id, _EXAMPLES]):
        where = f"line {record['line_number']} ({record['reference_number']})"
        console.line(f"{record['result']}, {where}: {record['status_code'] or 'no status'}, {record['error_message']}")
    if posting := run.posting:
        console.line(
            f"posting took {posting.total:,.1f} s ({posting.shares()}): {posting.requests:,} requests, "
            f"{posting.refused_requests:,} of them refused (429), at most {posting.peak_concurrency} at once"
        )
    if run.readback:
        _print_readback(console, run, run.readback)


def _print_readback(console: Console, run: Run, found: ReadBack) -> None:
    """Write the counts, the first records that are not what was sent, and what that means."""
    console.line(
        f"read back {found.sampled:,} = identical {found.identical:,}, differs {found.differs:,}, "
        f"not visible {found.not_visible:,}, not verified {found.not_verified:,}"
    )
    for is_ours, verdict, text in _READINGS:
        records = run.warehouse.rows(_FOUND, [run.run_id, verdict, is_ours, _NAMED])
        if not records:
            continue
        console.line(f"{'NOT PROVEN' if is_ours else 'warning'}: {records[0]['records']:,} {text}")
        for record in records:
            fields = f": {record['differing_fields']}" if record["differing_fields"] else ""
            console.line(f"  line {record['line_number']} ({record['reference_number']}){fields}")
        if records[0]["records"] > _NAMED:
            console.line(f"  ... and {records[0]['records'] - _NAMED:,} more, in audit.fct_readback")
        if not is_ours:
            console.line(f"  {about_readback(verdict, 'them', is_ours=False)}")
