with attempts as (
    select * from {{ ref('fct_attempts') }}
),

repeated as (
    select
        run_id,
        record_number
    from {{ ref('fct_attempts') }}
    where attempt = 2
),

answers as (
    select
        attempts.run_id,
        attempts.record_number,
        string_agg(coalesce(attempts.status_code::varchar, 'none'), ', ' order by attempts.attempt) as answers
    from attempts
    semi join repeated on attempts.run_id = repeated.run_id and attempts.record_number = repeated.record_number
    group by attempts.run_id, attempts.record_number
)

select * from answers
