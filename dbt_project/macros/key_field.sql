{#- The field that makes creation idempotent; while dbt parses, when there are no fields yet, the record's hash. -#}
{% macro key_field(fields) %}
    {{ return(fields | selectattr('is_key') | first | default({'field': 'record_hash', 'source_column': none})) }}
{% endmacro %}
