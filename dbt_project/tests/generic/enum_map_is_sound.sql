{#- Rows of enum_map that are incomplete, repeated, or that matching on trimmed lower case can never find; each with what the
    loader says about it. -#}
{% test enum_map_is_sound(model) %}
with spelled as (
    select
        *,
        'data/reference/enum_map.csv: the row ' || concat_ws(',', entity, field, source_value, api_value) as named,
        count(*) over (partition by entity, field, source_value) as lines
    from {{ model }}
),

offenders as (
    select
        entity,
        field,
        source_value,
        named || case
            when entity is null then ' lacks its entity; complete it'
            when field is null then ' lacks its field; complete it'
            when api_value is null then ' lacks its api_value; complete it'
            when lines > 1 then ' is there ' || lines || ' times; remove all but one'
            when source_value <> lower(trim(source_value))
                then ' is never found: values are looked up trimmed and in lower case; write its source_value so'
        end as refusal
    from spelled
)

select * from offenders
where refusal is not null
{% endtest %}
