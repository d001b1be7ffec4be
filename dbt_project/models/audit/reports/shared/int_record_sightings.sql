with runs as (
    select * from {{ ref('int_judged_runs') }}
),

records as (
    select * from {{ ref('fct_records') }}
),

fates as (
    select * from {{ ref('int_record_fates') }}
),

readback as (
    select * from {{ ref('fct_readback') }}
),

seen as (
    select
        'validation' as stage,
        run_id,
        record_number,
        line_number,
        reference_number,
        record_hash,
        if(status in ('invalid', 'parse_error'), 'invalid', 'none') as problem
    from records
    union all by name
    select
        'delivery' as stage,
        run_id,
        record_number,
        line_number,
        reference_number,
        if(result in ('created', 'exists'), 'none', result) as problem
    from fates
    union all by name
    select
        'readback' as stage,
        run_id,
        record_number,
        line_number,
        reference_number,
        if(verdict = 'identical', 'none', verdict) as problem
    from readback
),

sightings as (
    select
        seen.stage,
        runs.entity_type,
        if(seen.stage = 'validation', null, runs.environment) as environment,
        coalesce(seen.reference_number, runs.source_name || ' ' || seen.record_hash) as record_key,
        seen.problem,
        -- That a record was not attempted says nothing of what became of it before.
        runs.run_order * 2
        + (seen.problem <> 'none')::bigint
        + (seen.problem <> 'not_attempted')::bigint * (1::bigint << 40)
            as weight,
        runs.run_order,
        runs.run_id,
        seen.record_number,
        seen.line_number,
        seen.reference_number
    from seen
    inner join runs on seen.run_id = runs.run_id
)

select * from sightings
