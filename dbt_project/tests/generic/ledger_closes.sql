{#- Runs whose records are not all accounted for. One that is not finished yet is no offender. -#}
{% test ledger_closes(model) %}
with offenders as (
    select * from {{ model }} where not closes and state <> 'unfinished'
)

select * from offenders
{% endtest %}
