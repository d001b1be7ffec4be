{#- Every rule that a record breaks, in words; the rules themselves are in rules.sql. -#}
{% macro issues(entity) %}
{% set fields = card(entity).fields %}

-- Not materialized: each rule reads the few columns that it needs, and a copy of all of them would cost more.
with source_records as not materialized (
    select * from {{ ref('raw_' ~ entity) }}
),

staged as not materialized (
    select * from {{ ref('stg_' ~ entity) }}
    where parse_error is null
),

duplicates as (
    select * from {{ ref('int_' ~ entity ~ '_duplicates') }}
),

unmapped_values as (
    select
        *,
        unnest(spellings) as spelling
    from {{ ref('int_' ~ entity ~ '_unmapped_values') }}
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

issues as materialized (
    select * from broken
    where record_number not in (select record_number from sole)
    union all by name
    select * from sole
    union all by name
    select * from unparsed
),

-- From a list, because DuckDB expects an issue for every record and would put all records into memory to join them.
numbers as (
    select unnest(list(distinct record_number)) as record_number from issues
),

records as (
    select staged.*
    from {{ ref('stg_' ~ entity) }} as staged
    semi join numbers on staged.record_number = numbers.record_number
),

codes as (
    select * from {{ ref('issue_codes') }}
),

explained as (
    select
        records.source_file,
        records.source_sha256,
        records.record_number,
        records.line_number,
        records.record_hash,
        records.{{ key_field(fields).field }} as reference_number,
        codes.severity,
        issues.code,
        issues.field,
        left(issues.value, 80) as value,
        issues.counted,
        issues.allowed,
        issues.suggestion,
        {{ filled_template('codes.message', 'issues', entity) }} as message,
        {{ filled_template('codes.how_to_fix', 'issues', entity) }} as how_to_fix
    from issues
    inner join records on issues.record_number = records.record_number
    left join codes on issues.code = codes.code
)

select * from explained
{% endmacro %}
