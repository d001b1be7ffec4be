{#- White space at both ends removed: Unicode's, which DuckDB's own trim() does not know, and the byte order mark. A blank
    cell is null. -#}
{% macro clean_text(expression) -%}
    {%- set signs = [9, 10, 11, 12, 13, 32, 133, 160, 5760] + range(8192, 8203) | list + [8232, 8233, 8239, 8287, 12288, 65279] -%}
    nullif(trim({{ expression }}, {% for sign in signs %}chr({{ sign }}){{ ' || ' if not loop.last }}{% endfor %}), '')
{%- endmacro %}
