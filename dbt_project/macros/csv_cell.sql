{#- A text as a cell of a CSV file: quoted where it has to be. -#}
{% macro csv_cell(expression) -%}
    case
        when regexp_matches({{ expression }}, '[",\r\n]') then '"' || replace({{ expression }}, '"', '""') || '"'
        else {{ expression }}
    end
{%- endmacro %}
