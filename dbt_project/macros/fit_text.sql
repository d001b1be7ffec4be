{#- The longest beginning of the text that the API counts as at most `max_length` long; never half a grapheme. No sign
    counts more than 6, so most texts need no count. -#}
{% macro fit_text(expression, max_length, counts) -%}
    case
        when length({{ expression }}) <= {{ max_length // 6 }} then {{ expression }}
        when {{ counted_length(expression, counts) }} <= {{ max_length }} then {{ expression }}
        else left_grapheme(
            {{ expression }},
            list_max(
                list_filter(
                    range(0, {{ max_length }} + 1),
                    lambda size: {{ counted_length("left_grapheme(" ~ expression ~ ", size)", counts) }} <= {{ max_length }}
                )
            )
        )
    end
{%- endmacro %}
