{#- Cells of a payload that the API would refuse: longer than the card allows, or outside the enum. -#}
{% test fits_its_card(model, entity) %}
with payload as (
    select * from {{ model }}
),

enum_map as (
    select * from {{ ref('enum_map') }} where entity = '{{ entity }}'
),

offenders as (
    {% for field in card(entity).fields if field.max_length or field.is_enum %}
    {{ 'union all' if not loop.first }}
    select
        record_number,
        '{{ field.field }}' as field
    from payload
    where
        {% if field.is_enum %}
        {{ field.field }} not in (select api_value from enum_map where field = '{{ field.field }}')
        {% else %}
        length({{ field.field }}) > {{ field.max_length // 6 }}
        and {{ counted_length(field.field, field.counts) }} > {{ field.max_length }}
        {% endif %}
    {% else %}
    select null where false
    {% endfor %}
)

select * from offenders
{% endtest %}
