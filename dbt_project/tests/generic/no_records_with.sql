{#- Records with a verdict that closes the gate. How many are too many is the test's `error_if` in the card. -#}
{% test no_records_with(model, records, status) %}
with records as (
    select * from {{ records }}
),

offenders as (
    select *
    from records
    where status = '{{ status }}'
)

select * from offenders
-- The payload is named so that this test belongs to it: {{ model }}
{% endtest %}
