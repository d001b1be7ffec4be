with runs as (
    select
        *,
        rowid as place
    from {{ ref('fct_runs') }}
),

events as (
    select * from {{ ref('fct_run_events') }}
),

finished as (
    select
        run_id,
        entity_type,
        mode,
        environment,
        source_file,
        start_time,
        place,
        false as is_unfinished
    from runs
),

unfinished as (
    select
        run_id,
        entity_type,
        'import' as mode,
        details::json ->> 'environment' as environment,
        details::json ->> 'source_file' as source_file,
        (details::json ->> 'start_time')::timestamp as start_time,
        null::bigint as place,
        true as is_unfinished
    from events
    where action = 'posting_started' and run_id not in (select run_id from runs)
),

judged as (
    select * from finished
    union all by name
    select * from unfinished
),

-- In the order in which they were written, which a clock that is set back does not change.
numbered as (
    select
        *,
        parse_filename(source_file, false, 'forward_slash') as source_name,
        row_number() over (order by place nulls last, run_id) as run_order
    from judged
),

chained as (
    select
        * exclude (place),
        lead(run_id) over (partition by entity_type, source_name order by run_order) as next_run_id,
        lead(run_id) over (partition by entity_type, source_name, environment, mode order by run_order)
            as next_run_of_its_kind
    from numbered
)

select * from chained
