{#- The rules of an entity that are not of `record_rules`: of a record among the others, and of each field. -#}
{% macro other_rules(fields) %}
    {% set record = {'field': none, 'source_column': none} %}
    {% set first = 'duplicates.first_line_number' %}
    {% set repeated = first ~ ' < staged.line_number and duplicates.distinct_records = 1' %}
    {% set rules = [broken_rule('duplicate_reference', record, repeated, 'null', first, suspicion='false')] %}
    {% for field in fields %}{% do rules.extend(broken_rules(field)) %}{% endfor %}
    {{ return(rules) }}
{% endmacro %}
