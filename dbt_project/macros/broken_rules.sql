{#- The rules of one field as SQL expressions: each null, or a struct that describes how the record breaks the rule.
    `before` is the cell as it stands in the file, cleaned of white space; `after` is the staged value. -#}
{% macro broken_rules(field) %}
    {% set before = clean_text('source_records.' ~ adapter.quote(field.source_column)) %}
    {% set after = 'staged.' ~ field.field %}
    {% set rules = [] %}
    {% if field.is_required %}
        {% do rules.append(broken_rule('required', field, after ~ " is null", "''")) %}
    {% endif %}
    {% if field.max_length and field.on_too_long == 'reject' %}
        {% set size = counted_length(after, field.counts) %}
        {% do rules.append(broken_rule('too_long', field, size ~ " > " ~ field.max_length, after, size, field.max_length)) %}
    {% elif field.max_length %}
        {% do rules.append(broken_rule('truncated', field, before ~ " <> " ~ after, before, counted_length(before, field.counts), field.max_length)) %}
    {% endif %}
    {% if field.is_enum %}
        {% do rules.append(broken_rule('unknown_enum', field, after ~ " not in (select api_value from enum_map where field = '" ~ field.field ~ "')", after)) %}
    {% endif %}
    {% if field.format == 'date' %}
        {% do rules.append(broken_rule('invalid_date', field, after ~ " is not null and " ~ utc_date(after) ~ " is null", after)) %}
        {% do rules.append(broken_rule('date_in_future', field, utc_date(after) ~ " > " ~ today_utc(), after)) %}
    {% endif %}
    {{ return(rules) }}
{% endmacro %}
