{#- White space at both ends removed (Unicode's, the no-break space and the byte order mark too); a blank cell is null.
    A text between two printable ASCII signs, as most are, is left as it is without the cost of a pattern. -#}
{% macro clean_text(expression) -%}
    case
        when unicode({{ expression }}) between 33 and 126 and unicode(({{ expression }})[-1]) between 33 and 126
            then {{ expression }}
        else nullif(regexp_replace({{ expression }}, '^[\s\pZ\x{feff}]+|[\s\pZ\x{feff}]+$', '', 'g'), '')
    end
{%- endmacro %}
