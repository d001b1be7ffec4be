{#- A row with the place, from 1, of every rule that a record breaks: only of the `sole` ones where one of them is broken,
    else of all the others, which are counted on from those. -#}
{% macro unnest_places(sole, others) -%}
    {%- set lists = [] -%}
    {%- for rules, first in [(sole, 1), (others, 1 + sole | length)] -%}
        {%- set cases = [] -%}
        {%- for rule in rules -%}
            {%- do cases.append('case when ' ~ rule.condition ~ ' then ' ~ (first + loop.index0) ~ ' end') -%}
        {%- endfor -%}
        {%- do lists.append('list_filter([\n            ' ~ cases | join(',\n            ')
            ~ '\n        ], lambda place: place is not null)') -%}
    {%- endfor -%}
    unnest(coalesce(nullif({{ lists[0] }}, []), {{ lists[1] }}))
{%- endmacro %}
