{#- A value as a message shows it: at most 80 characters, line breaks as spaces. -#}
{% macro excerpt(expression) -%}
    coalesce(
        regexp_replace(left({{ expression }}, 80), '\s+', ' ', 'g')
        || case when length({{ expression }}) > 80 then '...' else '' end,
        ''
    )
{%- endmacro %}
