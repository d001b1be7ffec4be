{#- The rules of a whole record that make every other finding about it noise: it is the header again, or it is blank.
    A record whose required cells equal their columns' names is taken for the header, whatever the others say. -#}
{% macro record_rules(fields) %}
    {% set record = {'field': none, 'source_column': none} %}
    {% set blank = ["len(list_filter(coalesce(source_records.other_cells, []), lambda cell: " ~ clean_text('cell') ~ " is not null)) = 0"] %}
    {% for field in fields %}
        {% do blank.append(clean_text('source_records.' ~ adapter.quote(field.source_column)) ~ ' is null') %}
    {% endfor %}
    {{ return([
        broken_rule('repeated_header', record, repeats_header(fields), 'null'),
        broken_rule('blank_record', record, blank | join(' and '), 'null', suspicion='staged.' ~ key_field(fields).field ~ ' is null'),
    ]) }}
{% endmacro %}
