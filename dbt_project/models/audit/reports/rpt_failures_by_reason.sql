with import_records as (
    select * from {{ ref('fct_import_records') }}
),

runs as (
    select * from {{ ref('int_judged_runs') }}
),

failures as (
    select
        import_records.*,
        runs.environment,
        runs.start_time,
        nullif(regexp_extract(error_message, '^([A-Z][A-Z0-9_]+): ', 1), '') as error_code,
        array_to_string(
            list_sort(
                list_distinct(regexp_extract_all(error_message, 'body -> ([A-Za-z0-9_.]+(?: -> [A-Za-z0-9_.]+)*): ', 1))
            ),
            ', '
        ) as fields
    from import_records
    left join runs on import_records.run_id = runs.run_id
    where import_records.result in ('failed', 'unknown')
),

-- Words that differ in a quoted value, a number or a name that no code goes with are the same words.
reasons as (
    select
        run_id,
        environment,
        entity_type,
        result,
        status_code,
        error_code,
        nullif(fields, '') as field,
        case when fields = '' then left(regexp_replace(error_message, '"[^"]*"|''[^'']*''|\d+', '…', 'g'), 300) end
            as words,
        count(*) as records,
        arg_min(reference_number, record_number) as example_reference,
        arg_min(error_message, record_number) as example_message,
        min(attempted_at) as first_time,
        max(attempted_at) as last_time
    from failures
    group by all
)

select * from reasons
