{#- Holds for a staged record whose required cells are the names of their columns. -#}
{% macro repeats_header(fields) -%}
    {%- set names = [] -%}
    {%- for field in fields if field.is_required -%}
        {%- do names.append('staged.' ~ field.field ~ ' = ' ~ sql_literal(field.source_column)) -%}
    {%- endfor -%}
    ({{ names | join(' and ') or 'false' }})
{%- endmacro %}
