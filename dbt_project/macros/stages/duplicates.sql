{#- The records whose key is in the file more than once, or looks like another one in it. -#}
{% macro duplicates(entity) %}
{% set key = key_field(card(entity).fields).field %}

with staged as (
    select
        record_number,
        line_number,
        record_hash,
        {{ key }} as key_value,
        {{ folded_key(key) }} as folded
    from {{ ref('stg_' ~ entity) }}
    where
        parse_error is null
        and {{ key }} is not null
),

crowded as (
    select folded from staged
    group by folded
    having count(*) > 1
),

alike as (
    select staged.*
    from staged
    inner join crowded on staged.folded = crowded.folded
),

spellings as (
    select
        folded,
        key_value,
        count(distinct record_hash) as distinct_records,
        min(line_number) as first_line
    from alike
    group by folded, key_value
),

rivals as (
    select
        key_value,
        distinct_records,
        case
            when first_line > min(first_line) over (partition by folded)
                then min(first_line) over (partition by folded)
            else lead(first_line) over (partition by folded order by first_line)
        end as rival_line_number
    from spellings
),

duplicates as (
    select
        alike.record_number,
        rivals.distinct_records,
        rivals.rival_line_number,
        min(alike.line_number) over (partition by alike.key_value, alike.record_hash) as first_line_number
    from alike
    inner join rivals on alike.key_value = rivals.key_value
)

select * from duplicates
{% endmacro %}
