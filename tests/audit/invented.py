"""An audit trail of invented runs, written straight into the tables."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

NOON = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - UTC without a zone, as the tables have it


class Trail:
    """Audit tables to which runs are written as the loader leaves them; records are `REFERENCE: fate`."""

    def __init__(self, database: Path) -> None:
        self.connection = duckdb.connect(str(database))
        self.runs = 0

    def run(
        self, name: str, mode: str = "import", environment: str = "staging", *, unfinished: bool = False, **fates: str
    ) -> str:
        """Add a run on `name` with these records; a fate is a verdict of validation, a result, or result/readback."""
        self.runs += 1
        moment = NOON + timedelta(days=self.runs)
        run_id = f"run-{self.runs:02}"
        of_run = {"run_id": run_id, "entity_type": "incident"}
        started = {"source_file": f"/exports/{name}", "environment": environment, "start_time": moment}
        for number, (reference, fate) in enumerate(fates.items(), 1):
            record = of_run | {
                "record_number": number,
                "line_number": number + 1,
                "record_hash": f"hash of {reference}",
            }
            record["reference_number"] = None if reference.startswith("_") else reference
            self.record(record, fate, mode)
        if unfinished:
            details = "{" + ", ".join(f'"{key}": "{value}"' for key, value in started.items()) + "}"
            event = of_run | {"event_time": moment, "action": "posting_started", "details": details}
            self.insert("fct_run_events", event)
        else:
            self.insert("fct_runs", of_run | started | {"mode": mode})
        return run_id

    def record(self, record: dict[str, Any], fate: str, mode: str) -> None:
        result, _, verdict = fate.partition("/")
        refused = result in ("invalid", "parse_error", "excepted", "duplicate")
        self.insert("fct_records", record | {"status": result if refused else "valid"})
        if result in ("invalid", "parse_error"):
            broken = {"severity": "error", "code": "required", "field": "title", "how_to_fix": "fill it"}
            self.insert("fct_issues", record | broken)
        if mode != "import" or refused or result == "nothing":
            return
        if result != "not_attempted":
            self.insert("fct_intents", record)
        if result != "sent":
            outcome = {"result": result, "error_message": "no", "attempts": result != "not_attempted"}
            self.insert("fct_import_records", record | outcome)
        if verdict:
            compared = {key: value for key, value in record.items() if key != "record_hash"}
            compared |= {"result": result, "is_ours": result == "created", "verdict": verdict}
            self.insert("fct_readback", compared)

    def insert(self, table: str, row: dict[str, Any]) -> None:
        names, marks = ", ".join(row), ", ".join("?" for _ in row)
        self.connection.execute(f"insert into audit.{table} ({names}) values ({marks})", list(row.values()))  # noqa: S608

    def open(self) -> set[tuple[str, ...]]:
        query = "select coalesce(reference_number, 'line ' || line_number), problem, runs from audit.rpt_open_problems"
        return set(self.connection.execute(query).fetchall())
