{#- One rule: null, or the struct {code, field, source_column, value, count, allowed} when `condition` holds. -#}
{% macro broken_rule(code, field, condition, value, count='null', allowed='null') -%}
    case when {{ condition }} then {
        'code': '{{ code }}',
        'field': {{ sql_literal(field.field) }},
        'source_column': {{ sql_literal(field.source_column) }},
        'value': {{ value }},
        'count': cast({{ count }} as bigint),
        'allowed': cast({{ allowed }} as bigint)
    } end
{%- endmacro %}
