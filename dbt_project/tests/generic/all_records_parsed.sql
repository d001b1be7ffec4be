{#- Records that are not well-formed CSV. One is too many, whatever number of invalid records is let pass: nobody knows
    what else such a line has swallowed. -#}
{% test all_records_parsed(model, records) %}
with records as (
    select * from {{ records }}
),

offenders as (
    select *
    from records
    where status = 'parse_error'
)

select * from offenders
-- The payload is named so that this test belongs to it: {{ model }}
{% endtest %}
