{#- The first character that matches, as a message names it: `U+0007 at character 12`. -#}
{% macro named_character(expression, pattern) -%}
    {%- set found = "regexp_extract(" ~ expression ~ ", '" ~ pattern ~ "')" -%}
    printf('U+%04X at character %d', unicode({{ found }}), instr({{ expression }}, {{ found }}))
{%- endmacro %}
