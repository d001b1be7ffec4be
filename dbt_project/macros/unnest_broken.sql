{#- Rows from a list of rule expressions: only the broken ones are unnested, so sound records cost no rows. -#}
{% macro unnest_broken(rules) -%}
    unnest(list_filter([
        {{ rules | join(',\n        ') }}
    ], lambda broken: broken is not null))
{%- endmacro %}
