{#- Holds for every text that counts as more than the field's limit, and for few others; reads no text where its size
    in bytes settles it. A sign that is escaped counts as 6 at most. -#}
{% macro may_exceed(expression, field) -%}
    {%- set size = 'strlen(' ~ expression ~ ')' -%}
    (
        {{ size }} > {{ field.max_length }}
        {%- if field.counts == 'escaped' %}
        or {{ size }} * 6 > {{ field.max_length }} and regexp_matches({{ expression }}, '[&<>\x{a0}]')
        {%- endif %}
    )
{%- endmacro %}
