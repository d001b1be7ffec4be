{% set fields = card('incident').fields %}
{% set record = {'field': none, 'source_column': none} %}
{% set columns = 'json_array_length(source_columns)' %}
{% set malformed = broken_rule(none, record, 'true', 'left(raw_record, 80)', 'cell_count', columns) %}
{% set first = 'duplicates.first_line_number' %}
{% set repeated = first ~ ' < staged.line_number and duplicates.distinct_records = 1' %}
{% set sole = record_rules(fields) %}
{% set rules = [broken_rule('duplicate_record', record, repeated, 'null', first, suspicion='false')] %}
{% for field in fields %}{% do rules.extend(broken_rules(field)) %}{% endfor %}

with staged as not materialized (
    select * from {{ ref('stg_incident') }}
),

source_records as not materialized (
    select * from {{ ref('raw_incident') }}
),

duplicates as (
    select * from {{ ref('int_incident_duplicates') }}
),

unmapped_values as (
    select * from {{ ref('int_incident_unmapped_values') }}
),

over_limit as (
    select record_number from source_records
    where {{ suspicions(rules, 'source_records') }}
),

suspects as materialized (
    select * from staged
    where
        {{ suspicions(sole + rules, 'staged') }}
        or parse_error is not null
        or record_number in (select record_number from duplicates)
        or record_number in (select record_number from over_limit)
),

broken as (
    select
        staged.record_number,
        {{ unnest_rules(sole, rules) }} as rule
    from suspects as staged
    inner join source_records on staged.record_number = source_records.record_number
    left join duplicates on staged.record_number = duplicates.record_number
    {% for field in fields if field.is_enum %}
        left join unmapped_values as {{ field.field }}_unmapped
            on
                {{ field.field }}_unmapped.field = '{{ field.field }}'
                and {{ field.field }}_unmapped.value = lower(coalesce(staged.{{ field.field }}, ''))
                and list_contains({{ field.field }}_unmapped.spellings, coalesce(staged.{{ field.field }}, ''))
    {% endfor %}
    where staged.parse_error is null
),

unparsed as (
    select
        record_number,
        {{ malformed.struct }} as rule
    from source_records
    where parse_error is not null
),

issues as (
    select * from broken
    union all
    select * from unparsed
)

{{ explained_issues('incident', 'issues', 'suspects') }}
