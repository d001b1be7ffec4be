with import_records as (
    select * from {{ ref('fct_import_records') }}
),

summary as (
    select
        run_id,
        entity_type,
        result,
        count(*) as records,
        sum(attempts)::bigint as requests,
        round(avg(response_time_ms), 1) as average_response_ms
    from import_records
    group by run_id, entity_type, result
)

select * from summary
