{#- A template of issue_codes with its {placeholders} filled from a broken rule; a long value is cut to 80 characters. -#}
{% macro filled_template(template, rule, entity) -%}
    {%- set fillings = {
        'entity': sql_literal(entity),
        'field': rule ~ '.field',
        'source_column': rule ~ '.source_column',
        'count': rule ~ '.count',
        'limit': rule ~ '.allowed',
        'detail': rule ~ '.detail',
    } -%}
    {%- set ns = namespace(sql=template) -%}
    {%- for placeholder, expression in fillings.items() -%}
        {%- set ns.sql = "replace(" ~ ns.sql ~ ", '{" ~ placeholder ~ "}', coalesce(" ~ expression ~ "::varchar, ''))" -%}
    {%- endfor -%}
    replace({{ ns.sql }}, '{value}', {{ excerpt(rule ~ '.value') }})
{%- endmacro %}
