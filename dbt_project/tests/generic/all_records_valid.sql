{#- Records that break a rule and close the gate. How many are too many is the test's `error_if` in the card. -#}
{% test all_records_valid(model, records) %}
with records as (
    select * from {{ records }}
),

offenders as (
    select *
    from records
    where status = 'invalid'
)

select * from offenders
-- The payload is named so that this test belongs to it: {{ model }}
{% endtest %}
