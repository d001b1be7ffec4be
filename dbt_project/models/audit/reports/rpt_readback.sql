with readback as (
    select * from {{ ref('fct_readback') }}
),

differences as (
    select
        run_id,
        record_number,
        unnest(string_split(differing_fields, ', ')) as field
    from readback
    where differing_fields is not null
),

summary as (
    select
        readback.run_id,
        readback.entity_type,
        readback.result,
        readback.verdict,
        count(distinct readback.record_number) as records,
        string_agg(distinct differences.field, ', ' order by differences.field) as differing_fields
    from readback
    left join differences
        on readback.run_id = differences.run_id and readback.record_number = differences.record_number
    group by readback.run_id, readback.entity_type, readback.result, readback.verdict
)

select * from summary
