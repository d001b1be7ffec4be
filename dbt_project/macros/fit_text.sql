{#- The longest beginning of the text that the API counts as at most `max_length` long, without the white space that it
    ends in; never half a grapheme, and the whole text where its first one is too long, for validation to refuse. No sign
    counts more than 6, so most texts need no count. The number of graphemes is found in strides, each a part of the one
    before: to count every beginning would cost more than all the rest of staging. CRLF is two of them for DuckDB, and
    counts 1. -#}
{% macro fit_text(expression, max_length, counts) -%}
    {%- set fits = counted_length("left_grapheme(" ~ expression ~ ", size)", counts) ~ " <= " ~ max_length -%}
    {%- set largest = "list_max(list_filter(range({}, {}, {}), lambda size: " ~ fits ~ "))" -%}
    {%- set found = [largest.format(0, 2 * max_length + 1, 64)] -%}
    {%- for stride, part in [(64, 8), (8, 1)] -%}
        {%- set within = largest.format('base', 'base + ' ~ stride, part) -%}
        {%- do found.append('list_transform([' ~ found[-1] ~ '], lambda base: ' ~ within ~ ')[1]') -%}
    {%- endfor -%}
    case
        when length({{ expression }}) <= {{ max_length // 6 }} then {{ expression }}
        when {{ counted_length(expression, counts) }} <= {{ max_length }} then {{ expression }}
        else coalesce({{ without_end_blanks("left_grapheme(" ~ expression ~ ", " ~ found[-1] ~ ")") }}, {{ expression }})
    end
{%- endmacro %}
