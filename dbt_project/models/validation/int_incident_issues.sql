{% set fields = card('incident').fields %}
{% set key = key_field(fields) %}
{% set record = {'field': none, 'source_column': none} %}
{% set different, first = 'duplicates.distinct_records', 'duplicates.first_record_number' %}
{% set rules = [
    broken_rule('conflicting_duplicate', key, different ~ ' > 1', 'staged.' ~ key.field, different),
    broken_rule('duplicate_record', record, first ~ ' < staged.record_number', 'null', first),
] %}
{% for field in fields %}{% do rules.extend(broken_rules(field)) %}{% endfor %}

with staged as (
    select * from {{ ref('stg_incident') }}
),

source_records as (
    select * from {{ ref('raw_incident') }}
),

duplicates as (
    select * from {{ ref('int_incident_duplicates') }}
),

enum_map as (
    select * from {{ ref('enum_map') }}
    where entity = 'incident'
),

broken as (
    select
        staged.record_number,
        {{ unnest_broken(rules) }} as rule
    from staged
    inner join source_records on staged.record_number = source_records.record_number
    left join duplicates on staged.record_number = duplicates.record_number
    where staged.parse_error is null
),

unparsed as (
    select
        record_number,
        {{ broken_rule('', record, 'true', 'left(raw_record, 80)', 'cell_count', 'len(source_columns)') }} as rule,
        parse_error
    from source_records
    where parse_error is not null
),

issues as (
    select
        record_number,
        rule,
        rule.code as code
    from broken
    union all
    select
        record_number,
        rule,
        parse_error as code
    from unparsed
)

{{ explained_issues('incident', 'issues', 'staged') }}
