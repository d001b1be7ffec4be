{#- The fields of a card as columns of `relation`, separated by commas. -#}
{% macro card_columns(entity, relation) -%}
    {%- set columns = [] -%}
    {%- for field in card(entity).fields -%}{%- do columns.append(relation ~ '.' ~ field.field) -%}{%- endfor -%}
    {{- columns | join(',\n        ') -}}
{%- endmacro %}
