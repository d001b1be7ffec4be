with events as (
    select
        *,
        coalesce(sequence, rowid) as place
    from {{ ref('fct_run_events') }}
),

finished as (
    select
        run_id,
        entity_type,
        mode,
        environment,
        source_file,
        start_time,
        coalesce(sequence, rowid) as place_of_end,
        false as is_unfinished
    from {{ ref('fct_runs') }}
),

unfinished as (
    select
        run_id,
        entity_type,
        'import' as mode,
        details::json ->> 'environment' as environment,
        details::json ->> 'source_file' as source_file,
        (details::json ->> 'start_time')::timestamp as start_time,
        null::bigint as place_of_end,
        true as is_unfinished
    from events
    where action = 'posting_started' and run_id not in (select run_id from finished)
),

judged as (
    select * from finished
    union all by name
    select * from unfinished
),

begun as (
    select
        run_id,
        min(place) as place_of_begin
    from events
    group by run_id
),

-- In the order in which they began to write, which neither a clock that is set back nor the end of a dead run changes.
numbered as (
    select
        judged.* exclude (place_of_end),
        parse_filename(judged.source_file, false, 'forward_slash') as source_name,
        row_number() over (
            order by begun.place_of_begin nulls first, judged.place_of_end nulls last, judged.run_id
        ) as run_order
    from judged
    left join begun on judged.run_id = begun.run_id
),

chained as (
    select
        *,
        lead(run_id) over (partition by entity_type, source_name order by run_order) as next_run_id,
        lead(run_id) over (partition by entity_type, source_name, environment, mode order by run_order)
            as next_run_of_its_kind
    from numbered
)

select * from chained
