{#- A text without the white space at its end, null where nothing is left: all that Python's str.strip() takes for white
    space, as the platform does when it strips a text. -#}
{% macro without_end_blanks(expression) -%}
    nullif(regexp_replace({{ expression }}, '[\t-\r\x1c-\x1f\x{85}\pZ]+$', ''), '')
{%- endmacro %}
