{#- Records of a payload with a cell that the API would refuse: longer than the card allows, outside the enum, or a key that
    another record has. `fields` names those of a record. -#}
{% test fits_its_card(model, entity) %}
{% set key = key_field(card(entity).fields).field %}
{% set misfits = {key: key ~ ' in (select ' ~ key ~ ' from payload group by ' ~ key ~ ' having count(*) > 1)'} %}
{% for field in card(entity).fields if field.is_enum %}
    {% do misfits.update({field.field: field.field ~ " not in (select api_value from enum_map where field = '" ~ field.field ~ "')"}) %}
{% endfor %}
{% for field in card(entity).fields if field.max_length and not field.is_enum %}
    {% do misfits.update({field.field: [misfits[field.field], exceeds(field.field, field)] | select('defined') | join(' or ')}) %}
{% endfor %}
with payload as (
    select * from {{ model }}
),

enum_map as (
    select * from {{ ref('enum_map') }} where entity = '{{ entity }}'
),

offenders as (
    select
        record_number,
        concat_ws(', ' {%- for field, misfit in misfits.items() %}, case when {{ misfit }} then '{{ field }}' end {%- endfor %}) as fields
    from payload
    where
        false
        {% for misfit in misfits.values() %}
        or {{ misfit }}
        {% endfor %}
)

select * from offenders
{% endtest %}
