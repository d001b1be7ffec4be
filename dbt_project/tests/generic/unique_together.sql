{#- Combinations of the columns that occur more than once; a null counts as a value. -#}
{% test unique_together(model, columns) %}
with offenders as (
    select
        {{ columns | join(', ') }},
        count(*) as rows_found
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
)

select * from offenders
{% endtest %}
