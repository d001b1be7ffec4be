{#- How the API counts a text: in code points, and where the card says `counts: escaped`, after its HTML escaping:
    & is 5 long, < and > are 4, the no-break space is 6. -#}
{% macro counted_length(expression, counts) -%}
    {%- if counts == 'escaped' -%}
    (
        length({{ expression }})
        + 4 * (length({{ expression }}) - length(replace({{ expression }}, '&', '')))
        + 3 * (length({{ expression }}) - length(replace(replace({{ expression }}, '<', ''), '>', '')))
        + 5 * (length({{ expression }}) - length(replace({{ expression }}, chr(160), '')))
    )
    {%- else -%}
    length({{ expression }})
    {%- endif -%}
{%- endmacro %}
