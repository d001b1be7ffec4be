{#- One field of a staging model: the cleaned cell mapped by enum_map, shortened, or given its default. -#}
{% macro staged_field(field) -%}
    {%- set cell = 'cleaned.' ~ field.field -%}
    {%- if field.is_enum -%}
    coalesce(enum_maps.{{ field.field }}_map[lower(coalesce({{ cell }}, ''))], {{ cell }})
    {%- elif field.on_too_long == 'truncate' -%}
    {{ fit_text(cell, field.max_length, field.counts) }}
    {%- elif field.default_value is not none -%}
    coalesce({{ cell }}, {{ sql_literal(field.default_value) }})
    {%- else -%}
    {{ cell }}
    {%- endif -%}
{%- endmacro %}
