{#- How the API counts a text: in code points, and where the card says `counts: escaped`, after its HTML escaping: & is 5
    long, < and > are 4, the no-break space is 6, CRLF becomes LF. Tags and character references are counted as they
    stand, though the API drops or shortens them: never too few. -#}
{% macro counted_length(expression, counts) -%}
    {%- if counts == 'escaped' -%}
    (
        length(replace({{ expression }}, chr(13) || chr(10), chr(10)))
        + 4 * (length({{ expression }}) - length(replace({{ expression }}, '&', '')))
        + 3 * (length({{ expression }}) - length(replace(replace({{ expression }}, '<', ''), '>', '')))
        + 5 * (length({{ expression }}) - length(replace({{ expression }}, chr(160), '')))
    )
    {%- else -%}
    length({{ expression }})
    {%- endif -%}
{%- endmacro %}
