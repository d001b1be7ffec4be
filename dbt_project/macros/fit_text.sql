{#- The longest beginning of the text that the API counts as at most `max_length` long; never half a grapheme, and the
    whole text where its first one is too long, for validation to refuse. No sign counts more than 6, so most texts need
    no count. Beginnings are tried in strides, then one by one within the last stride that fits: to count each of them
    would cost more than all the rest of staging. -#}
{% macro fit_text(expression, max_length, counts) -%}
    {%- set stride = 20 -%}
    {%- set fits = "lambda size: " ~ counted_length("left_grapheme(" ~ expression ~ ", size)", counts) ~ " <= " ~ max_length -%}
    {%- set strides = "list_max(list_filter(range(0, " ~ (max_length + 1) ~ ", " ~ stride ~ "), " ~ fits ~ "))" -%}
    case
        when length({{ expression }}) <= {{ max_length // 6 }} then {{ expression }}
        when {{ counted_length(expression, counts) }} <= {{ max_length }} then {{ expression }}
        else coalesce(nullif(left_grapheme(
            {{ expression }},
            list_max(list_filter(range({{ strides }}, {{ strides }} + {{ stride }}), {{ fits }}))
        ), ''), {{ expression }})
    end
{%- endmacro %}
