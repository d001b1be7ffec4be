{#- Rows that lack one of the columns: one test in place of a not_null test for each. -#}
{% test complete(model, columns) %}
with offenders as (
    select * from {{ model }}
    where {% for column in columns %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %}
)

select * from offenders
{% endtest %}
