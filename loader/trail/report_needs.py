"""The records of a run that need somebody, each with its remedy; as many as a page can hold."""

from typing import Any

from markupsafe import escape

from loader.console import printable
from loader.trail.report_facts import API_CODE, API_FIELDS
from loader.warehouse import Row, Warehouse

_MOST_ROWS = 2_000
_MOST_BYTES = 600_000
_LONGEST = 240
# What the markup of one row takes beside its texts.
_ROW_BYTES = 330
_NEEDS = f"""
    select 4 as place, record_number, line_number, reference_number, issues.code as problem,
        coalesce(issues.field, '') as field, coalesce(codes.meaning, '') as meaning,
        issues.message, value, suggestion, issues.how_to_fix as remedy
    from audit.fct_issues as issues left join reference.issue_codes as codes on issues.code = codes.code
    where run_id = $run_id and issues.severity = 'error' and record_number in (
        select record_number from audit.fct_records where run_id = $run_id and status in ('invalid', 'parse_error')
    )
    union all
    select if(result = 'failed', 2, 1), record_number, line_number, reference_number, result,
        if(result = 'failed', {API_FIELDS}, ''),
        if(status_code is null, coalesce(error_message, ''), concat_ws(' ', status_code, {API_CODE})),
        error_message, null, null,
        if(
            result = 'failed',
            'correct the record as the API says, then run the same command again',
            'run the same command again: it is settled first'
        )
    from audit.fct_import_records where run_id = $run_id and result in ('failed', 'unknown')
    union all
    select 3, record_number, line_number, reference_number, verdict, coalesce(differing_fields, ''),
        case
            when verdict = 'differs' and is_ours then 'created, but stored otherwise than it was sent'
            when verdict = 'differs' then 'was there before, and differs from this file'
            when is_ours then 'created, but not on the platform'
            else 'exists, but cannot be seen: deleted, or another tenant''s'
        end,
        null, null, null,
        if(
            verdict = 'differs' and not is_ours,
            'correct it on the platform: running it again does not update it',
            'ask the platform team about it'
        )
    from audit.fct_readback where run_id = $run_id and verdict <> 'identical'
"""  # noqa: S608 - our own text
_IN_ORDER = f"select * from ({_NEEDS}) order by place, record_number, problem, field, message limit {_MOST_ROWS}"  # noqa: S608
_TEXTS = ("reference_number", "meaning", "remedy")
_NARRATIVES = ("message", "value", "suggestion")


def needs(warehouse: Warehouse, run: Row, *, include_text: bool) -> tuple[list[Row], int]:
    """Return the rows of the table, and how many there are in all; narratives are left out unless asked for.

    There are at most 2,000 of them, or 600,000 bytes, so that the page can be attached to a ticket. What was sent comes
    first: of the others the rejected file has every one.
    """
    of_run = {"run_id": run["run_id"]}
    total = warehouse.rows(f"select count(*) as needs from ({_NEEDS})", of_run)[0]["needs"]  # noqa: S608
    kept: list[Row] = []
    size = 0
    for row in warehouse.rows(_IN_ORDER, of_run):
        shown = row | {name: shortened(row[name]) for name in (*_TEXTS, *_NARRATIVES)}
        if not include_text:
            shown |= dict.fromkeys(_NARRATIVES, "")
        elif shown["message"]:
            shown["meaning"] = shown["message"]
        size += _ROW_BYTES + sum(len(str(escape(value)).encode()) for value in shown.values())
        if size > _MOST_BYTES:
            break
        kept.append(shown)
    return kept, total


def shortened(text: Any) -> str:
    """Return a text of the data for the page: what nobody can see made visible, and not too long."""
    whole = "" if text is None else printable(str(text))
    return whole if len(whole) <= _LONGEST else whole[:_LONGEST] + "\u2026"
