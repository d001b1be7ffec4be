{#- The longest beginning of the text that the API counts as at most `max_length` long; never half a grapheme, and the
    whole text where its first one is too long, for validation to refuse. No sign counts more than 6, so most texts need
    no count. The number of graphemes is found bit by bit, from the highest: to count every beginning would cost more
    than all the rest of staging. CRLF is two of them for DuckDB, and counts 1. -#}
{% macro fit_text(expression, max_length, counts) -%}
    {%- set bits = [0] -%}
    {%- for bit in range((2 * max_length).bit_length()) -%}
        {%- do bits.insert(1, 2 ** bit) -%}
    {%- endfor -%}
    {%- set beginning = "left_grapheme(" ~ expression ~ ", size + bit)" -%}
    case
        when length({{ expression }}) <= {{ max_length // 6 }} then {{ expression }}
        when {{ counted_length(expression, counts) }} <= {{ max_length }} then {{ expression }}
        else coalesce(nullif(left_grapheme(
            {{ expression }},
            list_reduce(
                {{ bits }},
                lambda size, bit: if({{ counted_length(beginning, counts) }} <= {{ max_length }}, size + bit, size)
            )
        ), ''), {{ expression }})
    end
{%- endmacro %}
