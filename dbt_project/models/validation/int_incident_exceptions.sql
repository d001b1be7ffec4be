with documented as (
    select
        row_number() over () + 1 as line_number,
        *
    from {{ ref('documented_exceptions') }}
),

exceptions as (
    select * from documented
    where entity = 'incident'
),

errors as (
    select
        record_number,
        record_hash,
        reference_number,
        code
    from {{ ref('int_incident_issues') }}
    where severity = 'error'
),

covered as (
    select
        exceptions.line_number,
        errors.record_number
    from exceptions
    inner join errors on exceptions.reference_number = errors.reference_number and exceptions.code = errors.code
    where coalesce(exceptions.record_hash, errors.record_hash) = errors.record_hash
    union
    select
        exceptions.line_number,
        errors.record_number
    from exceptions
    inner join errors on exceptions.record_hash = errors.record_hash and exceptions.code = errors.code
    where exceptions.reference_number is null
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
