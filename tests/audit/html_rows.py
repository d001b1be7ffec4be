"""Rows for the page of a run: one in which everything went wrong, one in which nothing did."""

HOSTILE = "<script>alert(1)</script>"
IMAGE = '"><img src=http://127.0.0.1:9/x onerror=alert(2)>'
SECRET = "a narrative of the record"  # noqa: S105 - what must not be shown, not a password
PROBLEMS, FAILED, ATTEMPTS = 5_000, 40, 900
COUNTS = "10000 as total_records, 10 as parse_error_records, 4990 as invalid_records, 7 as duplicate_records, "
COUNTS += "3 as excepted_records, 4990 as ready_records, 4000 as created_records, 900 as exists_records, "
COUNTS += "40 as failed_records, 20 as unknown_records, 30 as not_attempted_records, true as closes, 5 as warnings"
ROWS = {
    "fct_runs": f"""
        'import' as mode, 'staging' as environment, 'http://127.0.0.1:1' as address, 'open' as gate, 4 as exit_code,
        '/data/{HOSTILE}.csv' as source_file, 'ab' as source_sha256, 'cd' as output_hash, {COUNTS},
        timestamp '2026-01-30 10:15:12' as start_time, timestamp '2026-01-30 10:45:12' as end_time,
        1800.0 as duration_seconds, '503 from the API ({SECRET}): check its health' as stopped_because from range(1)""",
    "fct_records": f"""
        range + 1 as record_number, range + 2 as line_number, 'invalid' as status from range({PROBLEMS})""",
    "fct_issues": f"""
        range + 1 as record_number, range + 2 as line_number,
        if(range = 7, '{HOSTILE}', 'EXT-' || range) as reference_number,
        'error' as severity, if(range % 3 = 0, 'unknown_enum', 'required') as code,
        if(range % 3 = 0, 'f1', 'f2') as field, '{SECRET}{IMAGE}' as value, '{SECRET}{IMAGE}' as message,
        'correct the cell' as how_to_fix from range({PROBLEMS})""",
    "fct_import_records": f"""
        range + 1 as record_number, range + 2 as line_number, 'SENT-' || range as reference_number, 'failed' as result,
        422 as status_code, 1 as attempts, 20.0 as response_time_ms,
        'VALIDATION_ERROR: {SECRET} body -> title: {SECRET}' as error_message from range({FAILED})""",
    "fct_attempts": f"""
        range as record_number, 1 as attempt, timestamp '2026-01-30 10:15:12' + interval 2 second * range as sent_at,
        20.0 + range % 30 as response_time_ms, true as was_sent,
        case range % 20
            when 0 then 429 when 1 then 503 when 2 then 422 when 3 then 409 when 4 then 302 when 5 then 409 else 201
        end as status_code,
        case range % 20
            when 0 then 'wait' when 1 then 'retry' when 3 then 'stop' when 4 then 'stop' else 'settle'
        end as next_action
        from range({ATTEMPTS})""",
}
QUIET = """
    'validate-only' as mode, 'staging' as environment, 'open' as gate, 0 as exit_code, 'fine.csv' as source_file,
    'ab' as source_sha256, 'cd' as output_hash, 5 as total_records, 0 as parse_error_records, 0 as invalid_records,
    0 as duplicate_records, 0 as excepted_records, 5 as ready_records, 0 as created_records, 0 as exists_records,
    0 as failed_records, 0 as unknown_records, 5 as not_attempted_records, true as closes, 0 as warnings,
    timestamp '2026-01-30 10:15:12' as start_time"""
