{#- Rows of enum_map that are incomplete, repeated, or that differ from another one in spelling alone and are sent as something
    else; each with what the loader says about it. -#}
{% test enum_map_is_sound(model) %}
with folded as (
    select
        *,
        {{ folded_value("coalesce(" ~ clean_text('source_value') ~ ", '')") }} as value
    from {{ model }}
),

spelled as (
    select
        *,
        'data/reference/enum_map.csv: the row ' || concat_ws(',', entity, field, source_value, api_value) as named,
        count(*) over (partition by entity, field, source_value) as lines,
        count(distinct api_value) over (partition by entity, field, value) as api_values
    from folded
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
            when api_values > 1
                then ' differs from another one only in case, accents, blanks, hyphens or underscores, which make no difference,'
                    || ' and in its api_value; remove one of the two'
        end as refusal
    from spelled
)

select * from offenders
where refusal is not null
order by entity, field, source_value
{% endtest %}
