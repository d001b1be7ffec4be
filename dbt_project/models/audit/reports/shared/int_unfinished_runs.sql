with runs as (
    select * from {{ ref('fct_runs') }}
),

events as (
    select * from {{ ref('fct_run_events') }}
),

fates as (
    select * from {{ ref('int_record_fates') }}
),

begun as (
    select
        events.run_id,
        any_value(events.entity_type) as entity_type,
        min(events.event_time) as start_time,
        max(events.details) filter (events.action = 'run_started')::json as started,
        max(events.details) filter (events.action = 'posting_started')::json as opened,
        max(events.details) filter (events.action = 'run_refused')::json as refused
    from events
    anti join runs on events.run_id = runs.run_id
    group by events.run_id
),

delivered as (
    select
        begun.run_id,
        count(*) filter (fates.result = 'created') as created_records,
        count(*) filter (fates.result = 'exists') as exists_records,
        count(*) filter (fates.result = 'failed') as failed_records,
        count(*) filter (fates.result = 'unknown') as unknown_records,
        count(*) filter (fates.result = 'not_attempted') as not_attempted_records
    from begun
    inner join fates on begun.run_id = fates.run_id
    group by begun.run_id
),

unfinished as (
    select
        begun.run_id,
        case
            when begun.refused is not null then 'refused' when begun.opened is not null then 'unfinished'
            else 'interrupted'
        end as state,
        begun.started ->> 'mode' as mode,
        begun.started ->> 'environment' as environment,
        begun.entity_type,
        coalesce(begun.opened ->> 'source_file', begun.started ->> 'source') as source_file,
        begun.start_time,
        (begun.refused ->> 'exit_code')::bigint as exit_code,
        begun.refused ->> 'reason' as stopped_because,
        (begun.opened ->> 'total_records')::bigint as total_records,
        (begun.opened ->> 'parse_error_records')::bigint as parse_error_records,
        (begun.opened ->> 'invalid_records')::bigint as invalid_records,
        (begun.opened ->> 'duplicate_records')::bigint as duplicate_records,
        (begun.opened ->> 'excepted_records')::bigint as excepted_records,
        (begun.opened ->> 'ready_records')::bigint as ready_records,
        delivered.* exclude (run_id)
    from begun
    left join delivered on begun.run_id = delivered.run_id
)

select * from unfinished
