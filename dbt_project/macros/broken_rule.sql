{#- One rule: a record for which `condition` holds breaks it, and `columns` are what there is to say of that, as SQL.
    `suspicion` is a cheaper condition that holds whenever `condition` does: only the records for which some suspicion
    holds are looked at closely. Without a `code`, the code is the record's parse_error. -#}
{% macro broken_rule(code, field, condition, value, count='null', allowed='null', detail='null', suggestion='null', suspicion=none) %}
    {{ return({
        'condition': condition,
        'suspicion': suspicion or condition,
        'columns': {
            'code': sql_literal(code) if code else 'parse_error',
            'field': sql_literal(field.field),
            'source_column': sql_literal(field.source_column),
            'value': value,
            'count': count,
            'allowed': allowed,
            'detail': detail,
            'suggestion': suggestion,
        },
    }) }}
{% endmacro %}
