{#- Records in the file (as the scan counted them) = parse errors + invalid + duplicates + excepted + ready, and ready
    is what the payload holds. Lists the totals when they do not add up. -#}
{% test counts_close(model, totals) %}
with totals as (
    select * from {{ totals }}
),

payload as (
    select count(*) as payload_records from {{ model }}
),

offenders as (
    select *
    from totals
    cross join payload
    where
        source_records
        <> parse_error_records + invalid_records + duplicate_records + excepted_records + ready_records
        or ready_records <> payload_records
)

select * from offenders
{% endtest %}
