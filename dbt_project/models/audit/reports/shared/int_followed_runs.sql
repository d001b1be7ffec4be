with runs as (
    select * from {{ ref('int_judged_runs') }}
),

pairs as (
    select
        'validation' as stage,
        run_id,
        next_run_id as later_run_id
    from runs
    where next_run_id is not null
    union all
    select
        'delivery' as stage,
        run_id,
        next_run_of_its_kind as later_run_id
    from runs
    where next_run_of_its_kind is not null
),

-- A file may repeat a reference: pairs of all repetitions would be as many as their square.
corrected as (
    select
        pairs.stage,
        pairs.run_id
    from pairs
    inner join {{ ref('fct_records') }} as earlier on pairs.run_id = earlier.run_id
    semi join {{ ref('fct_records') }} as later
        on pairs.later_run_id = later.run_id and earlier.reference_number = later.reference_number
),

-- The name of a rejected file is that of one run: whatever its owner has changed in it, it holds that run's records.
given_back as (
    select
        'validation' as stage,
        earlier.run_id
    from runs as earlier
    inner join runs as later
        on
            earlier.entity_type = later.entity_type
            and later.source_name = 'rejected_' || earlier.entity_type || '_' || earlier.run_id || '.csv'
    union all
    select
        'validation' as stage,
        run_id
    from runs
    where next_run_id is not null and starts_with(source_name, 'rejected_' || entity_type || '_')
),

followed as (
    select * from corrected
    union
    select * from given_back
)

select * from followed
