"""Runs `dbt build` in a process of its own and says in one line why it could not build, when it could not."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loader import start_dbt
from loader.card import Card
from loader.config import ROOT, SOURCE_VARIABLE, Settings
from loader.dialect import Dialect, dialect_variables
from loader.early_dbt import EarlyDbt
from loader.errors import DatabaseLocked, EtlError, SourceRefused
from loader.handover import Handover
from loader.spool import new_spools, spool_file

_REFUSAL = re.compile(r"SourceRefused: (.+)")
_HOLDER = re.compile(r"\(PID (\d+)\)")
_ARGUMENTS = (
    *("--no-use-colors", "build", "--exclude-resource-type", "unit_test"),
    *("--exclude", "path:dbt_project/models/audit"),
)
_LOG = "see logs/dbt.log"
# How the payload is materialized; a table where it is not set.
PAYLOAD_VARIABLE = "ETL_PAYLOAD"


@dataclass(frozen=True)
class Build:
    """A finished `dbt build`: whether it built every model, how its tests fared, the tables with the failures kept."""

    invocation_id: str
    complete: bool
    tests_passed: int
    tests_failed: tuple[str, ...]
    failures: tuple[str, ...]


def dbt_build(
    source: Path, card: Card, settings: Settings, dialect: Dialect, early: EarlyDbt | None = None, *, sends: bool
) -> Build:
    """Land `source` and build and test everything down to the payload, with the dbt that was started early, if one was.

    Without `sends` the payload is a view, with the same tests and digest: what nobody sends need not be written down.
    Left out are the unit tests, which try the code and not the data, and the audit models, whose tables and views the
    on-run-start hook makes: a small file should not wait for them.

    Raises:
        SourceRefused: the file cannot be trusted at all; dbt is ended before it lands anything.
        DatabaseLocked: another process holds the database.
        EtlError: a model or seed could not be built.

    """
    database = settings.database
    database.parent.mkdir(parents=True, exist_ok=True)
    results_path = ROOT / start_dbt.results_path()
    results_path.unlink(missing_ok=True)
    with early or EarlyDbt() as dbt, new_spools() as spools:
        with Handover(spools) as handover:
            dbt.tell(_ARGUMENTS, _variables(source, database, dialect, sends=sends), handover.descriptors)
            handover.given()
            handover.tell(spool_file(source, card.source_columns, dialect, settings.limits, spools))
            dbt.wait()
        dbt.output.seek(0)
        if not results_path.exists():
            raise _could_not_start(dbt.output.read().decode(errors="replace"), database)
    document = json.loads(results_path.read_text(encoding="utf-8"))
    for result in document["results"]:
        if result["status"] == "error" and not result["unique_id"].startswith("test."):
            raise _could_not_build(result, database)
    tests = [result for result in document["results"] if result["unique_id"].startswith("test.")]
    failing = [result for result in tests if result["status"] in ("fail", "error")]
    failed = tuple(result["unique_id"].split(".")[2] for result in failing)
    kept = tuple(
        result["relation_name"] for result in failing if result["status"] == "fail" and result["relation_name"]
    )
    passed = sum(result["status"] in ("pass", "warn") for result in tests)
    complete = not any(
        result["status"] == "skipped" and result["unique_id"].startswith("model.") for result in document["results"]
    )
    return Build(document["metadata"]["invocation_id"], complete, passed, failed, kept)


def _variables(source: Path, database: Path, dialect: Dialect, *, sends: bool) -> dict[str, str]:
    own = {SOURCE_VARIABLE: str(source), "ETL_DATABASE": str(database), PAYLOAD_VARIABLE: "table" if sends else "view"}
    return own | dialect_variables(dialect)


def _could_not_build(result: dict[str, Any], database: Path) -> EtlError:
    message = result.get("message") or ""
    if refusal := _REFUSAL.search(message):
        return SourceRefused(refusal[1])
    return _locked(message, database) or EtlError(
        f"dbt could not build {result['unique_id']}: {_last_line(message)}; {_LOG}"
    )


def _could_not_start(output: str, database: Path) -> EtlError:
    return _locked(output, database) or EtlError(f"dbt could not start: {_last_line(output)}; {_LOG}")


def _locked(output: str, database: Path) -> EtlError | None:
    holder = _HOLDER.search(output)
    return (
        DatabaseLocked(f"{database}: held by process {holder[1]}; end or wait for it, then run the same command again")
        if holder
        else None
    )


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"
