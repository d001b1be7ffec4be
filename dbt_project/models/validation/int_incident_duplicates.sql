{% set key = key_field(card('incident').fields).field %}

with staged as (
    select * from {{ ref('stg_incident') }}
    where parse_error is null
),

repeated as (
    select
        {{ key }} as key_value,
        count(distinct record_hash) as distinct_records
    from staged
    where {{ key }} is not null
    group by {{ key }}
    having count(*) > 1
),

duplicates as (
    select
        staged.record_number,
        repeated.distinct_records,
        min(staged.record_number) over (partition by staged.{{ key }}, staged.record_hash) as first_record_number
    from staged
    inner join repeated on staged.{{ key }} = repeated.key_value
)

select * from duplicates
