{#- Exceptions that have expired, or that no record of this file needs. -#}
{% test exceptions_hold(model) %}
with offenders as (
    select * exclude (record_numbers) from {{ model }} where state <> 'used'
)

select * from offenders
{% endtest %}
