{#- One rule: `struct` is null, or {code, field, source_column, value, count, allowed, detail, suggestion} when
    `condition` holds. `suspicion` is a cheaper condition that holds whenever `condition` does: only the records for
    which some suspicion holds are looked at closely. Without a `code`, the code is the record's parse_error. -#}
{% macro broken_rule(code, field, condition, value, count='null', allowed='null', detail='null', suggestion='null', suspicion=none) %}
    {% set struct -%}
    case when {{ condition }} then {
        'code': {{ sql_literal(code) if code else 'parse_error' }},
        'field': {{ sql_literal(field.field) }},
        'source_column': {{ sql_literal(field.source_column) }},
        'value': {{ value }},
        'count': cast({{ count }} as bigint),
        'allowed': cast({{ allowed }} as bigint),
        'detail': cast({{ detail }} as varchar),
        'suggestion': cast({{ suggestion }} as varchar)
    } end
    {%- endset %}
    {{ return({'struct': struct, 'suspicion': suspicion or condition}) }}
{% endmacro %}
