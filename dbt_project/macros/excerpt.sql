{#- A value as a message shows it: at most 80 characters, line breaks as spaces, and what a terminal would obey, or
    nobody would see, as the replacement character. -#}
{% macro excerpt(expression) -%}
    coalesce(
        regexp_replace(regexp_replace(left({{ expression }}, 80), '\s+', ' ', 'g'), '[\p{Cc}\p{Cf}]', chr(65533), 'g')
        || case when length({{ expression }}) > 80 then '...' else '' end,
        ''
    )
{%- endmacro %}
