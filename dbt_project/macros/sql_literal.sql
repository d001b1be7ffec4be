{#- A value of the card as SQL: text quoted, numbers and booleans bare, nothing as null. -#}
{% macro sql_literal(value) -%}
    {%- if value is none or value is undefined -%} null
    {%- elif value is boolean or value is number -%} {{ value | lower }}
    {%- else -%} '{{ value | string | replace("'", "''") }}'
    {%- endif -%}
{%- endmacro %}
