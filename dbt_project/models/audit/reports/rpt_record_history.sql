with runs as (
    select * from {{ ref('int_judged_runs') }}
),

records as (
    select * from {{ ref('fct_records') }}
),

issues as (
    select * from {{ ref('int_record_issues') }}
),

fates as (
    select * from {{ ref('int_record_fates') }}
),

readback as (
    select * from {{ ref('fct_readback') }}
),

changes as (
    select
        run_id,
        record_number,
        string_agg(field || ': ' || rule, ', ' order by field) as changed
    from {{ ref('fct_changes') }}
    group by run_id, record_number
),

answers as (
    select * from {{ ref('int_repeated_answers') }}
),

history as (
    select
        records.run_id,
        runs.start_time,
        runs.mode,
        runs.environment,
        records.entity_type,
        runs.source_file,
        records.record_number,
        records.line_number,
        records.reference_number,
        records.record_hash,
        records.status as landed,
        records.exception_reason,
        changes.changed,
        issues.errors,
        issues.warnings,
        fates.attempts as requests,
        -- A record that this run did not send has the status of the run that did.
        case when fates.attempts > 0 then coalesce(answers.answers, fates.status_code::varchar, 'none') end as answers,
        fates.result as outcome,
        fates.confirmed_by,
        fates.api_id,
        fates.error_message,
        fates.attempted_at as settled_at,
        readback.verdict as readback,
        readback.differing_fields
    from records
    left join runs on records.run_id = runs.run_id
    left join changes on records.run_id = changes.run_id and records.record_number = changes.record_number
    left join issues on records.run_id = issues.run_id and records.record_number = issues.record_number
    left join fates on records.run_id = fates.run_id and records.record_number = fates.record_number
    left join answers on records.run_id = answers.run_id and records.record_number = answers.record_number
    left join readback on records.run_id = readback.run_id and records.record_number = readback.record_number
)

select * from history
