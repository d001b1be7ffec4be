{#- A value of the card as SQL: text quoted, numbers and booleans bare, nothing as null. -#}
{% macro sql_literal(value) -%}
    {%- if value is none or value is undefined -%} null
    {%- elif value is boolean or value is number -%} {{ value | lower }}
    {%- else -%} '{{ value | string | replace("'", "''") }}'
    {%- endif -%}
{%- endmacro %}

{#- A text as a cell of a CSV file: quoted where it has to be. -#}
{% macro csv_cell(expression) -%}
    case
        when regexp_matches({{ expression }}, '[",\r\n]') then '"' || replace({{ expression }}, '"', '""') || '"'
        else {{ expression }}
    end
{%- endmacro %}

{#- A stage's schema is its folder's name, not dbt's `<target>_<name>`: one word per stage everywhere. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
