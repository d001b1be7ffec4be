with runs as (
    select * from {{ ref('fct_runs') }}
),

unfinished as (
    select * from {{ ref('int_unfinished_runs') }}
),

operators as (
    select
        run_id,
        any_value(details::json ->> 'operator') as operator
    from {{ ref('fct_run_events') }}
    where action = 'run_started'
    group by run_id
),

all_runs as (
    select
        *,
        if(stopped_because is null, 'finished', 'stopped') as state
    from runs
    union all by name
    select * from unfinished
),

ledger as (
    select
        all_runs.run_id,
        all_runs.state,
        all_runs.mode,
        all_runs.environment,
        all_runs.entity_type,
        all_runs.source_file,
        operators.operator,
        all_runs.start_time,
        all_runs.end_time,
        all_runs.exit_code,
        all_runs.stopped_because,
        all_runs.total_records,
        all_runs.parse_error_records,
        all_runs.invalid_records,
        all_runs.duplicate_records,
        all_runs.excepted_records,
        all_runs.ready_records,
        all_runs.created_records,
        all_runs.exists_records,
        all_runs.failed_records,
        all_runs.unknown_records,
        all_runs.not_attempted_records,
        case
            when all_runs.state in ('finished', 'stopped')
                then
                    all_runs.total_records
                    = all_runs.parse_error_records + all_runs.invalid_records + all_runs.duplicate_records
                    + all_runs.excepted_records + all_runs.ready_records
                    and all_runs.ready_records
                    = all_runs.created_records + all_runs.exists_records + all_runs.failed_records
                    + all_runs.unknown_records + all_runs.not_attempted_records
            when all_runs.state = 'unfinished' then false
        end as closes
    from all_runs
    left join operators on all_runs.run_id = operators.run_id
)

select * from ledger
