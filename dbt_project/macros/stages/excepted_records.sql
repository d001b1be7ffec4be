{#- The documented exceptions of an entity, and whether this file needs them. -#}
{% macro excepted_records(entity) %}
with documented as (
    select
        row_number() over () + 1 as line_number,
        *
    from {{ ref('documented_exceptions') }}
),

exceptions as (
    select * from documented
    where entity = '{{ entity }}'
),

errors as (
    select
        record_number,
        record_hash,
        reference_number,
        code
    from {{ ref('int_' ~ entity ~ '_issues') }}
    where severity = 'error'
),

-- An exception of the version before names a former hash, which is worked out for the records that it can mean alone.
former_hashes as (
    select
        source_records.record_number,
        {{ former_record_hash(card(entity).fields) }} as former_hash
    from {{ ref('raw_' ~ entity) }} as source_records
    semi join (
        select errors.record_number
        from errors
        inner join exceptions on errors.code = exceptions.code
        where not starts_with(exceptions.record_hash, 'v')
    ) as meant on source_records.record_number = meant.record_number
),

identified as (
    select
        errors.record_number,
        errors.reference_number,
        errors.code,
        [errors.record_hash, former_hashes.former_hash] as hashes
    from errors
    left join former_hashes on errors.record_number = former_hashes.record_number
),

covered as (
    select
        exceptions.line_number,
        identified.record_number
    from exceptions
    inner join identified on exceptions.code = identified.code
    where
        (exceptions.reference_number is null or exceptions.reference_number = identified.reference_number)
        and (exceptions.record_hash is null or list_contains(identified.hashes, exceptions.record_hash))
        and coalesce(exceptions.reference_number, exceptions.record_hash) is not null
),

records as (
    select
        line_number,
        list(record_number order by record_number) as record_numbers
    from covered
    group by line_number
),

judged as (
    select
        exceptions.*,
        case
            when try_cast(exceptions.expires_on as date) < {{ today_utc() }} then 'expired'
            when records.line_number is null then 'unused'
            else 'used'
        end as state,
        coalesce(records.record_numbers, []) as record_numbers
    from exceptions
    left join records on exceptions.line_number = records.line_number
)

select * from judged
{% endmacro %}
