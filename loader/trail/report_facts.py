"""What the page of a run says, from the audit tables: the ledger as steps, problems, outcomes, what to do next."""

from collections.abc import Iterator
from typing import Any

from loader.advice import after_import
from loader.audit import DELIVERY_COUNTS, FILE_COUNTS
from loader.errors import OK, SOME_RECORDS
from loader.job import DRY_RUN, IMPORT
from loader.typed import platform_team
from loader.warehouse import Row, Warehouse

# Nothing that quotes a cell: the meaning of a code instead of its message, the API's code and fields instead of words.
API_CODE = "coalesce(regexp_extract(error_message, '^([A-Z][A-Z_]{2,59}):', 1), '')"
API_FIELDS = """array_to_string(
    list_sort(list_distinct(regexp_extract_all(error_message, 'body -> (\\w{1,60})', 1))), ', ')"""
_MOST_GROUPS = 60
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
_READBACK = """
    select is_ours, verdict, count(*) as records from audit.fct_readback where run_id = ?
    group by all order by is_ours desc, verdict
"""
_LIMIT = "select requests_per_window, window_seconds from audit.fct_pacing where run_id = ? order by rowid desc limit 1"
_KINDS = {
    "parse_error": "loss",
    "invalid": "loss",
    "failed": "loss",
    "created": "good",
    "exists": "there",
    "unknown": "unknown",
}
MEANINGS = {
    "created": "this run created it on the platform",
    "exists": "the platform had it already; it was not updated",
    "failed": "the API refused it: correct the record, then run the same command again",
    "unknown": "sent, without an answer that settles it: run the same command again, it is settled first",
    "not_attempted": "never sent: run the same command again",
}


def posted(run: Row) -> bool:
    """Tell whether the run was an import that got as far as posting."""
    return bool(run["mode"] == IMPORT and run["gate"] == "open")


def ledger(run: Row) -> list[Row]:
    """Return both lines of the ledger as the steps of a waterfall: label, records and share, and its bar."""
    steps = [_step("records in the file", run["total_records"], "sum", 0, run["total_records"])]
    steps += _down(run, FILE_COUNTS[:-1], run["total_records"])
    steps.append(_step("ready to send", run["ready_records"], "sum", 0, run["total_records"]))
    if posted(run):
        steps += _down(run, DELIVERY_COUNTS, run["ready_records"])
    return steps


def _down(run: Row, counts: tuple[str, ...], records: int) -> Iterator[Row]:
    for name in counts:
        records -= run[name]
        label = name.removesuffix("_records")
        yield _step(label.replace("_", " "), run[name], _KINDS.get(label, "aside"), records, run["total_records"])


def _step(label: str, records: int, kind: str, start: int, total: int) -> Row:
    part = 100 * records / (total or 1)
    width = max(part, 0.5) if records else 0
    place = min(100 * max(start, 0) / (total or 1), 100 - width)
    share = "" if not records else "< 0.1 %" if part < _LEAST_SHARE else f"{part:.1f} %"
    bar = {"start": round(place, 2), "width": round(width, 2)}
    return {"label": label, "records": records, "share": share, "kind": kind} | bar


def problems(warehouse: Warehouse, run: Row) -> list[Row]:
    """Return the problems by rule and field, the largest first, at most 60; `share` is in % of the largest."""
    groups = warehouse.rows(_PROBLEMS, [run["run_id"], _MOST_GROUPS])
    largest = max((group["issues"] for group in groups), default=1)
    return [group | {"share": round(100 * group["issues"] / largest, 2)} for group in groups]


def delivery(warehouse: Warehouse, run: Row) -> dict[str, Any]:
    """Return what became of the ready records: by result, by reason, read back; and the API's rate limit."""
    found = {row["result"]: row for row in warehouse.rows(_RESULTS, [run["run_id"]])}
    limits = warehouse.rows(_LIMIT, [run["run_id"]])
    return {
        "results": [found[name] | {"meaning": MEANINGS[name]} for name in MEANINGS if name in found],
        "refusals": warehouse.rows(_REFUSALS, [run["run_id"], _MOST_GROUPS]),
        "readback": warehouse.rows(_READBACK, [run["run_id"]]),
        "limit": limits[0] if limits else None,
    }


def outcome(run: Row) -> tuple[str, str]:
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


def next_words(run: Row, readback: Row) -> str:
    """Return what to do after the run; `readback` has the counts of `--verify`, or nothing."""
    refused = run["invalid_records"] + run["parse_error_records"]
    if run["gate"] != "open" and run["exit_code"] == SOME_RECORDS and refused:
        rejected = f"rejected_{run['entity_type']}_{run['run_id']}.csv"
        return f"correct {rejected} (or the source) as the table below says, and validate it again"
    if run["gate"] != "open":
        return str(run["gate"])
    if run["mode"] == IMPORT and run["stopped_because"]:
        first = "ask the platform team, then " if platform_team(run["stopped_because"]) else ""
        return f"{first}run the same command again: nothing is created twice"
    if run["mode"] == IMPORT:
        return after_import(run, readback).removeprefix("next: ")
    then = "--import" if run["mode"] == DRY_RUN else "--dry-run"
    return f"run the same command with {then} in place of --{run['mode']}"
