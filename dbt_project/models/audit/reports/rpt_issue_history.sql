with runs as (
    select
        run_id,
        entity_type,
        parse_filename(source_file, false, 'forward_slash') as source_name,
        lag(run_id) over (
            partition by entity_type, parse_filename(source_file, false, 'forward_slash')
            order by start_time, run_id
        ) as previous_run_id
    from {{ ref('fct_runs') }}
),

problems as (
    select
        run_id,
        coalesce(reference_number, 'record ' || left(record_hash, 16)) as record,
        code,
        field,
        min(line_number) as line_number,
        min(severity) as severity,
        min(message) as message
    from {{ ref('fct_issues') }}
    group by run_id, record, code, field
),

sightings as (
    select
        runs.run_id,
        problems.* exclude (run_id),
        true as is_now,
        false as was_before
    from runs
    inner join problems on runs.run_id = problems.run_id
    union all
    select
        runs.run_id,
        problems.* exclude (run_id),
        false as is_now,
        true as was_before
    from runs
    inner join problems on runs.previous_run_id = problems.run_id
),

history as (
    select
        runs.run_id,
        runs.previous_run_id,
        runs.entity_type,
        runs.source_name,
        case
            when not bool_or(sightings.was_before) then 'new'
            when not bool_or(sightings.is_now) then 'gone'
            else 'remains'
        end as state,
        sightings.record,
        sightings.code,
        sightings.field,
        arg_max(sightings.line_number, sightings.is_now) as line_number,
        arg_max(sightings.severity, sightings.is_now) as severity,
        arg_max(sightings.message, sightings.is_now) as message
    from runs
    inner join sightings on runs.run_id = sightings.run_id
    group by all
)

select * from history
