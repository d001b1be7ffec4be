"""A short past for reports: a file that is refused, corrected, imported while the API fails, and imported again."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from sandbox.process import Sandbox
from tests.support import FIELDS, Home

REFUSED, RETRIED, LOST, SLOW, CHANGED = "Q-3", "Q-4", "Q-5", "Q-6", "Q-1"
TOO_LONG = {"field": "body -> title", "message": "String should have at most 300 characters", "type": "string_too_long"}
ANSWER = {"code": "VALIDATION_ERROR", "message": "Request validation failed", "details": {"errors": [TOO_LONG]}}
RECORDS = (
    "Q-1,Loose handrail,Loose at its foot,safety,low,open,2026-01-05,Stair 3",
    "Q-2,Smoke,Smoke from a duct,hazard,medium,open,2026-01-06,Hall 1",
    "Q-3,Wet floor,Water on the floor,hazard,low,open,2026-01-06,Hall 2",
    "Q-4,Broken lamp,It fell,hazard,low,open,2026-01-07," + "L" * (FIELDS["location"].max_length + 1),
    "Q-5,Blocked door,A pallet stood there,hazard,3,open,2026-01-08,Gate 2",
    "Q-6,Cut finger,With a knife,injury,low,closed,2026-01-09,Canteen",
    "Q-6,Cut finger,With a knife,injury,low,closed,2026-01-09,Canteen",
)
# What the validation of the uncorrected file has left; a dbt build in its place takes as long as all the rest.
FIRST_RUN = "20260105T080000Z-0a1b2c"
FIRST = """
    insert into audit.fct_runs by name
    select $run as run_id, 'validate-only' as mode, 'staging' as environment, 'incident' as entity_type,
        $source as source_file, sha256('uncorrected') as source_sha256, timestamp '2026-01-05 08:00:00' as start_time,
        timestamp '2026-01-05 08:00:09' as end_time, 7 as total_records, 0 as parse_error_records,
        1 as invalid_records, 1 as duplicate_records, 0 as excepted_records, 5 as ready_records, 0 as created_records,
        0 as exists_records, 0 as failed_records, 0 as unknown_records, 5 as not_attempted_records, true as closes,
        'closed' as gate, 1 as exit_code;
    insert into audit.fct_run_events by name
    select $run as run_id, timestamp '2026-01-05 08:00:00' as event_time, 'run_started' as action,
        'incident' as entity_type, '{"mode": "validate-only", "operator": "etl@batch-1"}' as details;
    insert into audit.fct_records by name
    select $run as run_id, 'incident' as entity_type, number as record_number, number + 1 as line_number,
        'Q-' || least(number, 6) as reference_number, sha256(reference_number) as record_hash,
        case number when 2 then 'invalid' when 7 then 'duplicate' else 'valid' end as status
    from range(1, 8) as numbers(number);
    insert into audit.fct_issues by name
    select * exclude (status, exception_reason), 'error' as severity, 'unknown_enum' as code, 'incident_type' as field,
        'volcano' as value, 'is not a known value' as message, 'add it to enum_map.csv' as how_to_fix
    from audit.fct_records where status = 'invalid' and run_id = $run;
"""
# A run at the end of a minute would have two of them.
ONE_MINUTE = """
    update audit.fct_attempts as attempts set sent_at = date_trunc('minute', first_at) + (sent_at - first_at)
    from (select run_id, min(sent_at) as first_at from audit.fct_attempts group by run_id) as firsts
    where attempts.run_id = firsts.run_id
"""


def live(home: Home, sandbox: Sandbox, stored: Path) -> None:
    """Make the three runs; `stored` is the sandbox's own database, in which a record is changed before the last one."""
    source = home.csv("export.csv", *RECORDS)
    home.query(FIRST.replace("$run", f"'{FIRST_RUN}'").replace("$source", f"'{source}'"))
    sandbox.fault("body", count=0, reference=REFUSED, status=422, text=json.dumps({"error": ANSWER}))
    sandbox.fault("status", reference=RETRIED, value=503)
    sandbox.fault("drop_after_commit", reference=LOST)
    sandbox.fault("latency", reference=SLOW, value=0.5)
    done = home.loader("--import", "--verify", "--source", source)
    assert done.returncode == 1, done.stderr
    with closing(sqlite3.connect(stored, timeout=10, isolation_level=None)) as connection:
        connection.execute("update incidents set severity = 'critical' where reference_number = ?", [CHANGED])
    done = home.loader("--import", "--verify")
    assert done.returncode == 1, done.stderr
    home.query(ONE_MINUTE)
