with problems as (
    select * from {{ ref('int_last_problems') }}
),

runs as (
    select * from {{ ref('int_judged_runs') }}
),

followed as (
    select * from {{ ref('int_followed_runs') }}
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

-- Until the platform team has done something, the same command stops again.
stopped as (
    select
        run_id,
        stopped_because || '; then ' as first_words
    from {{ ref('fct_runs') }}
    where contains(stopped_because, 'ask the platform team')
),

-- A corrected file that no longer holds the record: it was left out, or has got another reference.
waiting as (
    select
        problems.*,
        runs.source_name,
        first_runs.start_time as since
    from problems
    inner join runs on problems.last_run_order = runs.run_order
    inner join runs as first_runs on problems.first_run_order = first_runs.run_order
    anti join followed
        on
            problems.problem in ('invalid', 'failed', 'not_attempted')
            and runs.run_id = followed.run_id
            and problems.stage = followed.stage
),

open_problems as (
    select
        waiting.entity_type,
        waiting.environment,
        waiting.problem,
        if(waiting.stage = 'readback' and not readback.is_ours, 'warning', 'error') as severity,
        waiting.reference_number,
        waiting.source_name,
        waiting.line_number,
        waiting.record_number,
        waiting.since,
        date_diff('day', waiting.since, now() at time zone 'UTC') as age_days,
        waiting.runs,
        waiting.last_run_id,
        case waiting.problem
            when 'invalid' then issues.errors
            when 'differs' then readback.differing_fields
            when 'not_visible' then 'not in the list of the platform'
            else coalesce(fates.error_message, 'never sent')
        end as reason,
        -- In the words of loader/reports/advice.py.
        case
            when waiting.problem = 'invalid' then issues.how_to_fix
            when waiting.problem = 'failed'
                then 'correct what failed, then run the same command again: nothing is created twice'
            when waiting.stage <> 'readback'
                then concat(stopped.first_words, 'run the same command again: nothing is created twice')
            when readback.is_ours
                then 'ask the platform team about it: it was created, and reading it back does not prove it'
            when waiting.problem = 'differs'
                then 'correct ' || readback.differing_fields
                    || ' on the platform, or in the file: an import does not update what is there'
            else 'ask the platform team: the reference is taken by a record that is deleted, or another tenant''s'
        end as what_to_do
    from waiting
    left join issues on waiting.last_run_id = issues.run_id and waiting.record_number = issues.record_number
    left join fates on waiting.last_run_id = fates.run_id and waiting.record_number = fates.record_number
    left join stopped on waiting.last_run_id = stopped.run_id
    left join readback on waiting.last_run_id = readback.run_id and waiting.record_number = readback.record_number
)

select * from open_problems
