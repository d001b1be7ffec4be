with sightings as (
    select * from {{ ref('int_record_sightings') }}
),

troubled as (
    select distinct
        stage,
        record_key
    from {{ ref('int_record_sightings') }}
    where problem <> 'none'
),

seen as (
    select sightings.*
    from sightings
    semi join troubled on sightings.stage = troubled.stage and sightings.record_key = troubled.record_key
),

latest as (
    select
        stage,
        entity_type,
        environment,
        record_key,
        arg_max(problem, weight) as problem,
        max(run_order) as last_run_order
    from seen
    group by stage, entity_type, environment, record_key
),

since as (
    select
        latest.*,
        coalesce(max(seen.weight) filter (where seen.problem <> latest.problem), 0) as weight_before
    from latest
    inner join seen
        on
            latest.stage = seen.stage
            and latest.entity_type = seen.entity_type
            and latest.environment is not distinct from seen.environment
            and latest.record_key = seen.record_key
    where latest.problem <> 'none'
    group by all
),

problems as (
    select
        since.stage,
        since.entity_type,
        since.environment,
        since.record_key,
        since.problem,
        since.last_run_order,
        min(seen.run_order) as first_run_order,
        count(distinct seen.run_id) as runs,
        arg_max(seen.run_id, seen.weight) as last_run_id,
        arg_max(seen.record_number, seen.weight) as record_number,
        arg_max(seen.line_number, seen.weight) as line_number,
        any_value(seen.reference_number) as reference_number
    from since
    inner join seen
        on
            since.stage = seen.stage
            and since.entity_type = seen.entity_type
            and since.environment is not distinct from seen.environment
            and since.record_key = seen.record_key
    where seen.problem = since.problem and seen.weight > since.weight_before
    group by all
)

select * from problems
