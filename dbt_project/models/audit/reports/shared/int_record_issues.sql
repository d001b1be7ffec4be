with issues as (
    select * from {{ ref('fct_issues') }}
),

summed_up as (
    select
        run_id,
        record_number,
        string_agg(concat_ws(': ', field, code), ', ' order by code, field) filter (where severity = 'error') as errors,
        string_agg(concat_ws(': ', field, code), ', ' order by code, field) filter (where severity = 'warning')
            as warnings,
        string_agg(how_to_fix, '; ' order by code, field) filter (where severity = 'error') as how_to_fix
    from issues
    group by run_id, record_number
)

select * from summed_up
