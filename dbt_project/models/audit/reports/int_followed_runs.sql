with runs as (
    select * from {{ ref('int_judged_runs') }}
),

pairs as (
    select
        run_id,
        next_run_id
    from runs
    where next_run_id is not null
    union
    select
        run_id,
        next_run_of_its_kind as next_run_id
    from runs
    where next_run_of_its_kind is not null
),

followed as (
    select distinct
        pairs.run_id,
        pairs.next_run_id
    from pairs
    inner join {{ ref('fct_records') }} as earlier on pairs.run_id = earlier.run_id
    inner join {{ ref('fct_records') }} as later
        on pairs.next_run_id = later.run_id and earlier.reference_number = later.reference_number
)

select * from followed
