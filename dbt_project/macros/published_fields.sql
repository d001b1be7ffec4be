{#- The fields of all cards as a select, one row each; no rows while dbt parses, when there is no graph yet. -#}
{% macro published_fields() %}
    {%- set types = {'is_key': 'boolean', 'is_required': 'boolean', 'is_enum': 'boolean', 'is_stripped': 'boolean', 'max_length': 'bigint'} -%}
    {%- set rows = [] -%}
    {%- for card in cards() -%}
        {%- for field in card.fields -%}
            {%- set columns = [sql_literal(card.entity) ~ ' as entity', loop.index ~ ' as field_position'] -%}
            {%- for name, value in field.items() -%}
                {%- do columns.append('cast(' ~ sql_literal(value) ~ ' as ' ~ types.get(name, 'varchar') ~ ') as ' ~ name) -%}
            {%- endfor -%}
            {%- do rows.append('select ' ~ columns | join(', ')) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- rows | join('\n    union all\n    ') or 'select null as entity, null as field, false as is_enum where false' -}}
{% endmacro %}
