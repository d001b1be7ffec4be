{#- Values that matching on trimmed lower case can never find. -#}
{% test is_lower_case(model, column) %}
with offenders as (
    select * from {{ model }} where {{ column }} <> lower(trim({{ column }}))
)

select * from offenders
{% endtest %}
