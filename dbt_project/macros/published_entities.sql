{#- The entities that have a card as a select, one row each; no rows while dbt parses, when there is no graph yet. -#}
{% macro published_entities() %}
    {%- set rows = [] -%}
    {%- for card in cards() -%}
        {%- set columns = [] -%}
        {%- for name, value in card.items() if name != 'fields' -%}
            {%- do columns.append(sql_literal(value) ~ ' as ' ~ name) -%}
        {%- endfor -%}
        {%- do rows.append('select ' ~ columns | join(', ')) -%}
    {%- endfor -%}
    {{- rows | join('\n    union all\n    ') or 'select null where false' -}}
{% endmacro %}
