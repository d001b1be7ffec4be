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

-- Few runs are unfinished, so the long tables are not joined as a whole. DuckDB would keep all of a table read twice.
settled as (
    select outcomes.*
    from {{ ref('fct_import_records') }} as outcomes
    semi join runs on outcomes.run_id = runs.run_id
),

sent as (
    select intents.*
    from intents
    semi join runs on intents.run_id = runs.run_id
),

-- What a run that never ended has left: an intent without an outcome may have been stored.
left_open as (
    select
        records.* exclude (status, exception_reason),
        if(sent.run_id is null, 'not_attempted', 'unknown') as result,
        'the run has not finished' as error_message
    from runs
    inner join records on runs.run_id = records.run_id
    left join sent on records.run_id = sent.run_id and records.record_number = sent.record_number
    anti join settled on records.run_id = settled.run_id and records.record_number = settled.record_number
),

fates as (
    select * from import_records
    union all by name
    select * from left_open
)

select * from fates
