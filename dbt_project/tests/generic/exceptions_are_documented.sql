{#- Exceptions that may not be followed, each with all that is wrong with it in `refusal`, which the loader prints. -#}
{% test exceptions_are_documented(model) %}
{% set blank = "coalesce(trim(exceptions.{0}), '') = ''" %}
with exceptions as (
    select
        row_number() over () + 1 as line_number,
        *
    from {{ model }}
),

codes as (
    select * from {{ ref('issue_codes') }}
),

severities as (
    select
        entity,
        severities
    from {{ ref('dim_entities') }}
),

entities as (
    select list(distinct entity order by entity) as known from {{ ref('dim_payload_fields') }}
),

complaints as (
    select
        exceptions.*,
        list_filter([
            case when not coalesce(list_contains(entities.known, exceptions.entity), false) then 'has no known entity; write ' || array_to_string(entities.known, ' or ') end,
            case when {{ blank.format('reference_number') }} and {{ blank.format('record_hash') }} then 'names no record; fill reference_number or record_hash' end,
            case when {{ blank.format('code') }} then 'has no code; write the broken rule' end,
            case when not {{ blank.format('code') }} and codes.code is null then 'has a code that does not exist; take one of data/reference/issue_codes.csv' end,
            case when coalesce(severities.severities ->> exceptions.code, codes.severity) = 'warning' then 'excepts a warning, which keeps no record back; remove the line' end,
            case when codes.stage = 'landing' then 'excepts a record that cannot be read; mend the source file and remove the line' end,
            case when {{ blank.format('reason') }} then 'has no reason; write why the record is left out' end,
            case when {{ blank.format('approved_by') }} then 'has no approved_by; write who approved it' end,
            case when coalesce(try_cast(exceptions.expires_on as date)::varchar <> exceptions.expires_on, true) then 'has no expires_on that is a date; write YYYY-MM-DD' end
        ], lambda complaint: complaint is not null) as complaints
    from exceptions
    cross join entities
    left join codes on exceptions.code = codes.code
    left join severities on exceptions.entity = severities.entity
),

offenders as (
    select
        line_number,
        'data/reference/documented_exceptions.csv, line ' || line_number || ' ('
        || coalesce('reference ' || reference_number, 'record_hash ' || record_hash, 'no record')
        || ', code ' || coalesce(code, 'none') || '): ' || array_to_string(complaints, '; and ') as refusal
    from complaints
    where len(complaints) > 0
)

select * from offenders order by line_number
{% endtest %}
