{#- A row for every rule that a record breaks: only the `sole` ones where one of them is broken, else all the others. -#}
{% macro unnest_rules(sole, others) -%}
    unnest(coalesce(
        nullif(list_filter([
            {{ sole | map(attribute='struct') | join(',\n            ') }}
        ], lambda broken: broken is not null), []),
        list_filter([
            {{ others | map(attribute='struct') | join(',\n            ') }}
        ], lambda broken: broken is not null)
    ))
{%- endmacro %}
