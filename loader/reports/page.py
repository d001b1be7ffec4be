"""Makes one HTML page of a run. It loads nothing, and no text of the data can run in it."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import escape

from loader.audit.journal import DELIVERY_COUNTS, FILE_COUNTS, event_details
from loader.audit.runs import known_run
from loader.console import printable
from loader.delivery.resume import POSTING_ENDED
from loader.delivery.stopwatch import TimeSpent
from loader.errors import OK, SOME_RECORDS
from loader.reports.advice import Step, about_readback, about_result, after_run
from loader.reports.decisions import dates_of_file, unknown_values
from loader.reports.series import ANSWERS, series
from loader.reports.table import put
from loader.run.job import IMPORT
from loader.run.verify import READ_BACK
from loader.storage.warehouse import Row, Warehouse

# Nothing that quotes a cell: the meaning of a code instead of its message, the API's code and fields instead of words.
API_CODE = "coalesce(regexp_extract(error_message, '^([A-Z][A-Z_]{2,59}):', 1), '')"
API_FIELDS = """array_to_string(
    list_sort(list_distinct(regexp_extract_all(error_message, 'body -> (\\w{1,60})', 1))), ', ')"""
_MOST_GROUPS, _MOST_VALUES = 60, 50
_LEAST_SHARE = 0.1
_PROBLEMS = """
    select issues.severity, issues.code, coalesce(field, '') as field, count(*) as issues,
        min(line_number) as line_number, coalesce(any_value(codes.meaning), '') as meaning,
        arg_min(issues.how_to_fix, record_number) as how_to_fix
    from audit.fct_issues as issues left join reference.issue_codes as codes on issues.code = codes.code
    where run_id = ? group by issues.severity, issues.code, field
    order by issues.severity, issues desc, issues.code, field limit ?
"""
_RESULTS = """
    select result, count(*) as records, coalesce(sum(attempts), 0)::bigint as requests,
        count(*) filter (where confirmed_by = 'earlier_run') as earlier,
        median(response_time_ms) as median_ms
    from audit.fct_import_records where run_id = ? group by result
"""
_REFUSALS = f"""
    select result, status_code, {API_CODE} as code, {API_FIELDS} as fields, count(*) as records,
        min(line_number) as line_number, arg_min(reference_number, record_number) as reference_number
    from audit.fct_import_records where run_id = ? and result in ('failed', 'unknown')
    group by all order by records desc, result, status_code, code, fields limit ?
"""  # noqa: S608 - our own text
_LIMIT = (
    "select requests_per_window, window_seconds from audit.fct_pacing where run_id = ? order by learned_at desc limit 1"
)
_REJECTED_FILE = (
    "select path from audit.fct_output_files where run_id = ? and kind = 'rejected' order by written_at desc"
)
# The parts of the ledger by what a bar says of them; every other one is aside.
_KINDS = {"created": "good", "exists": "there", "unknown": "unknown"}
_KINDS |= dict.fromkeys(("parse_error", "invalid", "failed"), "loss")
_MEANINGS = {
    "created": "this run created it on the platform",
    "exists": "the platform had it already; it was not updated",
    "failed": "the API refused it",
    "unknown": "sent, without an answer that settles it",
    "not_attempted": "never sent",
}


def _ledger(run: Row, *, posted: bool) -> list[Row]:
    """Return both lines of the ledger as the steps of a waterfall: label, records and share, and its bar."""
    total, steps = run["total_records"] or 1, []

    def add(label: str, records: int, kind: str, start: int = 0) -> None:
        part = 100 * records / total
        width = max(part, 0.5) if records else 0
        place = min(100 * max(start, 0) / total, 100 - width)
        share = "" if not records else "< 0.1 %" if part < _LEAST_SHARE else f"{part:.1f} %"
        bar = {"start": round(place, 2), "width": round(width, 2)}
        steps.append({"label": label, "records": records, "share": share, "kind": kind} | bar)

    def add_parts(names: Sequence[str], left: int) -> None:
        for name in names:
            left -= run[name]
            label = name.removesuffix("_records")
            add(label.replace("_", " "), run[name], _KINDS.get(label, "aside"), left)

    add("records in the file", run["total_records"], "sum")
    add_parts(FILE_COUNTS[:-1], run["total_records"])
    add("ready to send", run["ready_records"], "sum")
    if posted:
        add_parts(DELIVERY_COUNTS, run["ready_records"])
    return steps


def _problems(warehouse: Warehouse, run: Row) -> list[Row]:
    """Return the problems by rule and field, the largest first, at most 60; `share` is in % of the largest."""
    groups = warehouse.rows(_PROBLEMS, [run["run_id"], _MOST_GROUPS])
    largest = max((group["issues"] for group in groups), default=1)
    return [group | {"share": round(100 * group["issues"] / largest, 2)} for group in groups]


def _delivery(warehouse: Warehouse, run: Row) -> dict[str, Any]:
    """Return what became of the ready records, by result and by reason, and the API's rate limit."""
    found = {row["result"]: row for row in warehouse.rows(_RESULTS, [run["run_id"]])}
    return {
        "results": [found[name] | {"meaning": text} for name, text in _MEANINGS.items() if name in found],
        "refusals": warehouse.rows(_REFUSALS, [run["run_id"], _MOST_GROUPS]),
        "limit": next(iter(warehouse.rows(_LIMIT, [run["run_id"]])), None),
    }


def _outcome(run: Row) -> tuple[str, str]:
    """Return how the run ended in a few words, and its kind: good, loss or aside."""
    if run["exit_code"] is None:
        return "Ended without finishing: killed, or the machine stopped", "loss"
    if run["gate"] != "open":
        return ("Nothing was sent" if run["mode"] == IMPORT else "Not ready to be imported"), "loss"
    if run["exit_code"] == OK:
        return "Done, everything accounted for", "good"
    if run["exit_code"] == SOME_RECORDS:
        return "Done, but some records need somebody", "loss"
    return "Stopped early; the same command goes on", "aside"


def _next_step(warehouse: Warehouse, run: Row, readback: Row) -> Step:
    """Return what to do after the run; `readback` has the counts of `--verify`, or nothing.

    Whether its file of rejected records is still there is not looked at, so that the page is the same each time.
    """
    told = ("gate", "exit_code", "stopped_because")
    known = replace(known_run(warehouse, run["run_id"]), **{name: run[name] for name in told})
    files = warehouse.rows(_REJECTED_FILE, [run["run_id"]])
    return after_run(known, run, readback, files[0]["path"] if files else None)


_MOST_ROWS = 2_000
_MOST_BYTES = 600_000
_LONGEST = 240
# What the markup of one row takes beside its texts.
_ROW_BYTES = 330
_NEEDS = f"""
    select 4 as place, record_number, line_number, reference_number, issues.code as problem,
        coalesce(issues.field, '') as field, coalesce(codes.meaning, '') as meaning,
        issues.message, value, suggestion, issues.how_to_fix as remedy, false as is_ours
    from audit.fct_issues as issues left join reference.issue_codes as codes on issues.code = codes.code
    where run_id = $run_id and issues.severity = 'error' and record_number in (
        select record_number from audit.fct_records where run_id = $run_id and status in ('invalid', 'parse_error')
    )
    union all
    select if(result = 'failed', 2, 1), record_number, line_number, reference_number, result,
        if(result = 'failed', {API_FIELDS}, ''),
        if(status_code is null, coalesce(error_message, ''), concat_ws(' ', status_code, {API_CODE})),
        error_message, null, null, null, false
    from audit.fct_import_records where run_id = $run_id and result in ('failed', 'unknown')
    union all
    select 3, record_number, line_number, reference_number, verdict, coalesce(differing_fields, ''),
        case
            when verdict = 'differs' and is_ours then 'created, but stored otherwise than it was sent'
            when verdict = 'differs' then 'was there before, and differs from this file'
            when is_ours then 'created, but not on the platform'
            else 'exists, but cannot be seen: deleted, or another tenant''s'
        end,
        null, null, null, null, is_ours
    from audit.fct_readback where run_id = $run_id and verdict <> 'identical'
"""  # noqa: S608 - our own text
_IN_ORDER = f"select * from ({_NEEDS}) order by place, record_number, problem, field, message limit {_MOST_ROWS}"  # noqa: S608
_TEXTS = ("reference_number", "meaning", "remedy")
_NARRATIVES = ("message", "value", "suggestion")


def _needs(warehouse: Warehouse, run: Row, *, include_text: bool) -> tuple[list[Row], int]:
    """Return the rows of the table, and how many there are in all; narratives are left out unless asked for.

    There are at most 2,000 of them, or 600,000 bytes, so that the page can be attached to a ticket. What was sent comes
    first: of the others the rejected file has every one.
    """
    of_run = {"run_id": run["run_id"]}
    total = warehouse.rows(f"select count(*) as needs from ({_NEEDS})", of_run)[0]["needs"]  # noqa: S608
    kept: list[Row] = []
    size = 0
    for row in warehouse.rows(_IN_ORDER, of_run):
        row["remedy"] = row["remedy"] or _remedy(run, row)
        shown = row | {name: _shortened(row[name]) for name in (*_TEXTS, *_NARRATIVES)}
        if not include_text:
            shown |= dict.fromkeys(_NARRATIVES, "")
        elif shown["message"]:
            shown["meaning"] = shown["message"]
        size += _ROW_BYTES + sum(len(str(escape(value)).encode()) for value in shown.values())
        if size > _MOST_BYTES:
            break
        kept.append(shown)
    return kept, total


def _remedy(run: Row, row: Row) -> str:
    if row["problem"] in ("failed", "unknown"):
        return about_result(row["problem"], run["stopped_because"])
    return about_readback(row["problem"], row["field"], is_ours=row["is_ours"])


def _shortened(text: Any) -> str:
    """Return a text of the data for the page: what nobody can see made visible, and not too long."""
    whole = "" if text is None else printable(str(text))
    return whole if len(whole) <= _LONGEST else whole[:_LONGEST] + "\u2026"


_TEMPLATES = Path(__file__).parent / "templates"
# The API's own words within a reason of ours.
_QUOTED = re.compile(r" \(.*\)", re.DOTALL)


def page_name(run: Row) -> str:
    """Return the name of the file for a run."""
    return f"report_{run['entity_type']}_{run['run_id']}.html"


def write_page(warehouse: Warehouse, run: Row, path: Path | None, *, include_text: bool) -> None:
    """Write the page of a finished run to a file, or for None to standard output.

    `run` is its row of `audit.fct_runs`. Values of cells and the API's own words are shown with `include_text` alone.
    Raises StoppedEarly where the file cannot be written.
    """
    text = page(warehouse, run, include_text=include_text).encode()

    def write(file: BinaryIO) -> None:
        file.write(text)

    put(path, write)


def page(warehouse: Warehouse, run: Row, *, include_text: bool) -> str:
    """Return the page: the same text whenever it is made, less than a megabyte."""
    readback = event_details(warehouse, run["run_id"], READ_BACK) or {}
    stopped_because = run["stopped_because"]
    run = run | {"stopped_because": stopped_because and _QUOTED.sub("", stopped_because)}
    posted = run["mode"] == IMPORT and run["gate"] == "open"
    words, kind = _outcome(run)
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    rows, total = _needs(warehouse, run, include_text=include_text)
    values, of_all = unknown_values(warehouse, run["run_id"], _MOST_VALUES)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            name=Path(run["source_file"]).name,
            outcome=words,
            kind=kind,
            next=_next_step(warehouse, run, readback),
            stopped_because=stopped_because if include_text else run["stopped_because"],
            ledger=_ledger(run, posted=posted),
            problems=_problems(warehouse, run),
            dates=dates_of_file(warehouse, run["run_id"]).in_words,
            values=values,
            values_total=of_all,
            delivery=_delivery(warehouse, run) if posted else None,
            readback=readback,
            spent=_spent(warehouse, run),
            series=series(warehouse, run["run_id"]),
            answers=ANSWERS,
            needs=rows,
            needs_total=total,
            include_text=include_text,
            style=style,
            script=script,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": lambda value: "" if value is None else f"{value:,.0f}",
        "axis": "{:,g}".format,
        "moment": lambda value: "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}",
        "text": _shortened,
        "whole": printable,
        "hash": lambda text: "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode(),
    }
    return environment


def _spent(warehouse: Warehouse, run: Row) -> str:
    """Return where the time of posting went, in words; nothing for a run that did not come so far."""
    posting = event_details(warehouse, run["run_id"], POSTING_ENDED) or {}
    seconds = {name: value for name, value in posting.items() if name.endswith("_seconds")}
    return TimeSpent(**seconds).shares() if seconds else ""
