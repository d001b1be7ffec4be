{#- The rules of a whole record that make every other finding about it noise: it is the header again, or it is blank.
    A blank cell of an enum is staged as its default, so those are read from the file. -#}
{% macro record_rules(fields) %}
    {% set record = {'field': none, 'source_column': none} %}
    {% set blank = ["len(list_filter(coalesce(source_records.other_cells, []), lambda cell: " ~ clean_text('cell') ~ " is not null)) = 0"] %}
    {% for field in fields %}
        {% set cell = 'source_records.' ~ adapter.quote(field.source_column) %}
        {% set defaulted = field.is_enum or field.default_value is not none %}
        {% do blank.append((clean_text(cell) if defaulted else 'staged.' ~ field.field) ~ ' is null') %}
    {% endfor %}
    {{ return([
        broken_rule('repeated_header', record, repeats_header(fields), 'null'),
        broken_rule('blank_record', record, blank | join(' and '), 'null', suspicion='staged.' ~ key_field(fields).field ~ ' is null'),
    ]) }}
{% endmacro %}
