with runs as (
    select * from {{ ref('int_judged_runs') }}
    where is_unfinished
),

records as (
    select * from {{ ref('fct_records') }}
    where status = 'valid'
),

intents as (
    select * from {{ ref('fct_intents') }}
),

import_records as (
    select * from {{ ref('fct_import_records') }}
),

-- What a run that never ended has left: an intent without an outcome may have been stored.
left_open as (
    select
        records.* exclude (status, exception_reason),
        if(intents.run_id is null, 'not_attempted', 'unknown') as result,
        'the run has not finished' as error_message
    from runs
    inner join records on runs.run_id = records.run_id
    left join intents on records.run_id = intents.run_id and records.record_number = intents.record_number
    anti join import_records
        on records.run_id = import_records.run_id and records.record_number = import_records.record_number
),

fates as (
    select * from import_records
    union all by name
    select * from left_open
)

select * from fates
