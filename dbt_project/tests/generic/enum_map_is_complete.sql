{#- Rows of enum_map that lack a cell, each with what the loader says about it. -#}
{% test enum_map_is_complete(model) %}
with offenders as (
    select
        *,
        'data/reference/enum_map.csv: the row ' || concat_ws(',', entity, field, source_value, api_value)
        || ' lacks its ' || case when entity is null then 'entity' when field is null then 'field' else 'api_value' end
        || '; complete it' as refusal
    from {{ model }}
    where entity is null or field is null or api_value is null
)

select * from offenders
{% endtest %}
