{#- Every record with its verdict. -#}
{% macro records(entity) %}
{{ config(materialized='view') }}

with staged as (
    select * from {{ ref('stg_' ~ entity) }}
),

exceptions as (
    select
        unnest(record_numbers) as record_number,
        code,
        reason || coalesce(' (approved by ' || approved_by || ')', '') as reason
    from {{ ref('int_' ~ entity ~ '_exceptions') }}
    where state = 'used'
),

excepted as (
    select
        record_number,
        code,
        string_agg(distinct reason, '; ' order by reason) as reason
    from exceptions
    group by record_number, code
),

issues as (
    select
        issues.record_number,
        issues.severity,
        issues.code,
        excepted.reason
    from {{ ref('int_' ~ entity ~ '_issues') }} as issues
    left join excepted on issues.record_number = excepted.record_number and issues.code = excepted.code
),

found as (
    select
        record_number,
        coalesce(list(code order by code) filter (where severity = 'error'), []) as error_codes,
        coalesce(list(code order by code) filter (where severity = 'warning'), []) as warning_codes,
        count(*) filter (where severity = 'error' and reason is null) as open_errors,
        string_agg(distinct reason, '; ' order by reason) as exception_reason
    from issues
    group by record_number
),

judged as (
    select
        staged.source_file,
        staged.source_sha256,
        staged.record_number,
        staged.line_number,
        staged.record_hash,
        staged.{{ key_field(card(entity).fields).field }} as reference_number,
        case
            when staged.parse_error is not null then 'parse_error'
            when list_contains(found.warning_codes, 'duplicate_reference') then 'duplicate'
            when found.open_errors > 0 then 'invalid'
            when len(found.error_codes) > 0 then 'excepted'
            else 'valid'
        end as status,
        coalesce(found.error_codes, []) as error_codes,
        coalesce(found.warning_codes, []) as warning_codes,
        found.exception_reason
    from staged
    left join found on staged.record_number = found.record_number
)

select * from judged
{% endmacro %}
