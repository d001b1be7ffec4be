{% set fields = card('incident').fields %}

-- Not materialized: each rule reads the few columns that it needs, and a copy of all of them would cost more.
with source_records as not materialized (
    select * from {{ ref('raw_incident') }}
),

staged as not materialized (
    select * from {{ ref('stg_incident') }}
    where parse_error is null
),

duplicates as (
    select * from {{ ref('int_incident_duplicates') }}
),

unmapped_values as (
    select
        *,
        unnest(spellings) as spelling
    from {{ ref('int_incident_unmapped_values') }}
),

broken as (
    {{ broken_rules(fields) }}
),

sole as (
    {{ sole_rules(fields) }}
),

unparsed as (
    select
        record_number,
        parse_error as code,
        left(raw_record, 80) as value,
        cell_count as counted,
        json_array_length(source_columns)::bigint as allowed
    from source_records
    where parse_error is not null
),

issues as (
    select * from broken
    where record_number not in (select record_number from sole)
    union all by name
    select * from sole
    union all by name
    select * from unparsed
)

{{ explained_issues('incident', 'issues', ref('stg_incident')) }}
