{#- The cell of one field as it was meant: see `restored_cell`. -#}
{% macro source_cell(field) -%}
    {{ restored_cell('source_records.' ~ adapter.quote(field.source_column)) }}
{%- endmacro %}
