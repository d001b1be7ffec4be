{#- The rules of one field. `before` is the cell as it stands in the file, cleaned of white space; `after` is the staged
    value. The suspicions are over `staged` or over `source_records`, each of them over one relation alone. -#}
{% macro broken_rules(field) %}
    {% set cell = 'source_records.' ~ adapter.quote(field.source_column) %}
    {% set before, after = clean_text(cell), 'staged.' ~ field.field %}
    {% set rules = [] %}
    {% if field.is_required %}
        {% do rules.append(broken_rule('required', field, after ~ ' is null', "''")) %}
    {% endif %}
    {% if field.max_length and field.on_too_long == 'reject' %}
        {% set size = counted_length(after, field.counts) %}
        {% do rules.append(broken_rule('too_long', field, size ~ ' > ' ~ field.max_length, after, size, field.max_length,
            suspicion=may_exceed(after, field))) %}
    {% elif field.max_length %}
        {% set size = counted_length(before, field.counts) %}
        {% do rules.append(broken_rule('truncated', field, size ~ ' > ' ~ field.max_length, before, size, field.max_length,
            suspicion=may_exceed(cell, field))) %}
    {% endif %}
    {% if field.is_key %}
        {% do rules.extend(key_rules(field, after)) %}
    {% elif field.is_enum %}
        {% do rules.append(unknown_enum_rule(field, after)) %}
    {% elif field.format == 'date' %}
        {% do rules.extend(date_rules(field, after)) %}
    {% else %}
        {% do rules.extend(text_rules(field, after)) %}
    {% endif %}
    {{ return(rules) }}
{% endmacro %}
