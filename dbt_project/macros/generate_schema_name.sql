{#- A stage's schema is its folder's name, not dbt's `<target>_<name>`: one word per stage everywhere. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
