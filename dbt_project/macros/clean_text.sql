{#- White space at both ends removed (Unicode's, the no-break space and the byte order mark too); a blank cell is null. -#}
{% macro clean_text(expression) -%}
    nullif(regexp_replace({{ expression }}, '^[\s\pZ\x{feff}]+|[\s\pZ\x{feff}]+$', '', 'g'), '')
{%- endmacro %}
