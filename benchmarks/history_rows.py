"""A long history of imports, written straight into the audit tables of a built database; always the same rows.

A file is imported twice: the second time what was created exists, what was unknown or left is created, and what was
refused is refused again. Beside its ready records each file has one invalid record for fifty, all of them with the same
reference.
"""

import duckdb

FIRST_DAY = "2026-01-05 06:00:00"
RUNS = """
    create temp table history_runs as
    select
        run, run // 2 as file, run % 2 = 1 as again,
        timestamp '{first_day}' + to_hours(3 * run::bigint) as began,
        strftime(began, '%Y%m%dT%H%M%SZ') || '-' || printf('%06x', run * 2654435 % 16777216) as run_id
    from range({runs}) as numbers(run)
"""
RECORDS = """
    create temp view history_records as
    select
        runs.*, 'incident' as entity_type, number as record_number, number + 1 as line_number,
        printf('H-%05d-%07d', file, least(number, {ready} + 1)) as reference_number,
        sha256(file || '-' || number) as record_hash,
        number > {ready} as is_invalid,
        case
            when number % 50 = 3 then 'failed'
            when again then if(number % 50 in (7, 11), 'created', 'exists')
            when number % 100 = 7 then 'unknown'
            when number % 100 = 11 then 'not_attempted'
            else 'created'
        end as result,
        case result when 'created' then 201 when 'exists' then 409 when 'failed' then 422 end as status_code,
        case
            when result = 'failed'
                then 'VALIDATION_ERROR: Request validation failed body -> title: at most 300 characters, not ' || number
            when result = 'unknown' then 'no answer within the time-out'
        end as message,
        began + to_milliseconds(12 * number::bigint) as sent_at
    from history_runs as runs cross join range(1, {ready} + {ready} // 50 + 1) as numbers(number)
"""
KEPT = {
    "fct_records": "select *, if(is_invalid, 'invalid', 'valid') as status from history_records",
    "fct_issues": """
        select * exclude (message), 'error' as severity,
            'too_long' as code, 'description' as field, 20400 as counted, 20000 as allowed,
            'is too long' as message, 'shorten it' as how_to_fix
        from history_records where is_invalid
        union all by name
        select * exclude (message), 'warning' as severity,
            'truncated' as code, 'title' as field, 320 as counted, 300 as allowed,
            'was cut' as message from history_records where record_number % 50 = 1
    """,
    "fct_changes": """
        select *, 'status' as field, 'open' as before, 'reported' as after, 'mapped' as rule
        from history_records where record_number % 10 < 3
    """,
    "fct_intents": """
        select *, began as intended_at from history_records where not is_invalid and result <> 'not_attempted'
    """,
    "fct_import_records": """
        select * replace (if(result = 'not_attempted', null, status_code) as status_code),
            if(result = 'not_attempted', 0, if(record_number % 50 = 9, 2, 1)) as attempts,
            42.5 + record_number % 17 as response_time_ms, 'id-' || record_number as api_id, message as error_message,
            sent_at as attempted_at
        from history_records where not is_invalid
    """,
    "fct_attempts": """
        select * replace (if(attempt = 1 and record_number % 50 = 9, 503, status_code) as status_code),
            1.5 as waited_ms, 42.5 + record_number % 17 as response_time_ms, true as was_sent,
            if(attempt = 1 and record_number % 50 = 9, 'retry', 'settle') as next_action
        from history_records cross join range(1, 3) as attempts(attempt)
        where not is_invalid and result <> 'not_attempted' and (attempt = 1 or record_number % 50 = 9)
    """,
    "fct_readback": """
        select *, true as is_ours, if(record_number % 1000 = 20, 'differs', 'identical') as verdict,
            if(record_number % 1000 = 20, 'title', null) as differing_fields, sent_at as verified_at
        from history_records where again and record_number % 10 = 0 and not is_invalid
    """,
    "fct_run_events": """
        select run_id, 'incident' as entity_type, 'batch_committed' as action, '{"records": 50}' as details,
            sent_at as event_time
        from history_records where record_number % 50 = 0
        union all by name
        select run_id, 'incident' as entity_type, 'validated' as action, '{}' as details, began as event_time
        from history_runs
    """,
    "fct_runs": """
        select run_id, began as start_time, began + interval 5 minutes as end_time, 'import' as mode,
            'staging' as environment, 'incident' as entity_type, 'exports/history-' || file || '.csv' as source_file,
            count(*) as total_records, count(*) filter (is_invalid) as invalid_records, 0 as parse_error_records,
            0 as duplicate_records, 0 as excepted_records, count(*) filter (not is_invalid) as ready_records,
            count(*) filter (not is_invalid and result = 'created') as created_records,
            count(*) filter (not is_invalid and result = 'exists') as exists_records,
            count(*) filter (not is_invalid and result = 'failed') as failed_records,
            count(*) filter (not is_invalid and result = 'unknown') as unknown_records,
            count(*) filter (not is_invalid and result = 'not_attempted') as not_attempted_records,
            true as closes, 'open' as gate, 1 as exit_code
        from history_records group by run_id, began, file order by run_id
    """,
}


def write_history(connection: duckdb.DuckDBPyConnection, runs: int, results: int) -> None:
    """Add a history of so many runs with so many result rows in all."""
    connection.execute(RUNS.format(first_day=FIRST_DAY, runs=runs))
    connection.execute(RECORDS.format(ready=results // runs))
    for table, query in KEPT.items():
        held = [name for name, *_ in connection.execute(f"describe audit.{table}").fetchall()]
        given = [name for name, *_ in connection.execute(f"describe {query}").fetchall()]
        columns = ", ".join(name for name in held if name in given)
        connection.execute(f"insert into audit.{table} by name select {columns} from ({query}) order by run_id")  # noqa: S608 - our own text
