{#- Exceptions that name no record, neither by reference nor by hash. -#}
{% test names_a_record(model) %}
with offenders as (
    select * from {{ model }} where coalesce(reference_number, record_hash) is null
)

select * from offenders
{% endtest %}
