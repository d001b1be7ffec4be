"""One run as one HTML page: no network, no script from elsewhere, nothing that a cell could run."""

import hashlib
import re
from base64 import b64encode
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loader.audit import event_details
from loader.console import printable
from loader.history import POSTING_ENDED
from loader.spent import TimeSpent
from loader.trail.report_facts import delivery, ledger, next_words, outcome, posted, problems
from loader.trail.report_needs import needs, shortened
from loader.trail.report_output import put
from loader.trail.report_series import ANSWERS, series
from loader.verify import READ_BACK
from loader.warehouse import Row, Warehouse

_TEMPLATES = Path(__file__).parent / "templates"
# The API's own words within a reason of ours.
_QUOTED = re.compile(r" \(.*\)", re.DOTALL)


def page_name(run: Row) -> str:
    """Return the name of the file for a run."""
    return f"report_{run['entity_type']}_{run['run_id']}.html"


def write_page(warehouse: Warehouse, run: Row, path: Path | None, *, include_text: bool) -> None:
    """Write the page of a finished run to a file, or for None to standard output.

    `run` is its row of `audit.fct_runs`. Values of cells and the API's own words are shown with `include_text` alone.

    Raises:
        StoppedEarly: the file cannot be written.

    """
    text = page(warehouse, run, include_text=include_text)
    put(path, partial(_write, text.encode()))


def page(warehouse: Warehouse, run: Row, *, include_text: bool) -> str:
    """Return the page: the same text whenever it is made, less than a megabyte."""
    readback = event_details(warehouse, run["run_id"], READ_BACK) or {}
    if run["stopped_because"] and not include_text:
        run = run | {"stopped_because": _QUOTED.sub("", run["stopped_because"])}
    words, kind = outcome(run)
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    rows, total = needs(warehouse, run, include_text=include_text)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            name=Path(run["source_file"]).name,
            outcome=words,
            kind=kind,
            next=next_words(run, readback),
            ledger=ledger(run),
            problems=problems(warehouse, run),
            delivery=delivery(warehouse, run) if posted(run) else None,
            readback=readback,
            spent=_spent(warehouse, run),
            series=series(warehouse, run["run_id"]),
            answers=ANSWERS,
            needs=rows,
            needs_total=total,
            include_text=include_text,
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
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
    environment.filters |= {"number": _number, "text": shortened, "whole": printable, "moment": _moment, "axis": _axis}
    return environment


def _spent(warehouse: Warehouse, run: Row) -> str:
    """Return where the time of posting went, in words; nothing for a run that did not come so far."""
    posting = event_details(warehouse, run["run_id"], POSTING_ENDED)
    if not posting:
        return ""
    return TimeSpent(**{name: value for name, value in posting.items() if name.endswith("_seconds")}).shares()


def _hash(text: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _axis(value: float) -> str:
    return f"{value:,g}"


def _moment(value: Any) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}"


def _write(page_bytes: bytes, file: BinaryIO) -> None:
    file.write(page_bytes)
