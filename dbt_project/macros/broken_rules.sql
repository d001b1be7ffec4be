{#- The rules of one field. `before` is the cell of the file, cleaned of white space; `after` is the staged value.
    The suspicions are over `staged` or over `source_records`, each of them over one relation alone. -#}
{% macro broken_rules(field) %}
    {% set cell = 'source_records.' ~ adapter.quote(field.source_column) %}
    {% set before, after = clean_text(source_cell(field)), 'staged.' ~ field.field %}
    {% set rules = [] %}
    {% if field.is_required %}
        {% do rules.append(required_rule(field, after)) %}
    {% endif %}
    {% if field.max_length %}
        {% set most, size = field.max_length, counted_length(after, field.counts) %}
        {% do rules.append(broken_rule('too_long', field, size ~ ' > ' ~ most, after, size, most,
            suspicion=may_exceed(after, field))) %}
        {% if field.on_too_long == 'truncate' %}
            {% set whole = counted_length(before, field.counts) %}
            {% do rules.append(broken_rule('truncated', field, whole ~ ' > ' ~ most ~ ' and ' ~ size ~ ' <= ' ~ most,
                before, whole, most, suspicion=may_exceed(cell, field))) %}
        {% endif %}
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
