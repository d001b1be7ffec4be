{% set fields = card('incident').fields %}
{% set record = {'field': none, 'source_column': none} %}
{% set columns = 'json_array_length(source_columns)' %}
{% set malformed = broken_rule(none, record, 'true', 'left(raw_record, 80)', 'cell_count', columns) %}
{% set sole, others = record_rules(fields), other_rules(fields) %}

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
    where {{ suspicions(others, 'source_records') }}
),

suspects as materialized (
    select * from staged
    where
        {{ suspicions(sole + others, 'staged') }}
        or parse_error is not null
        or record_number in (select record_number from duplicates)
        or record_number in (select record_number from over_limit)
),

suspect_cells as materialized (
    select source_records.*
    from source_records
    semi join suspects on source_records.record_number = suspects.record_number
    where source_records.parse_error is null
),

places as materialized (
    select
        staged.record_number,
        {{ unnest_places(sole, others) }} as place
    {{ examined_records(fields) }}
),

-- First which rules are broken, then what there is to say of those: to say it of every rule would cost more.
broken as (
    select
        places.record_number,
        {{ rule_columns(sole + others, 'places.place') }} as rule
    {{ examined_records(fields) }}
    inner join places on staged.record_number = places.record_number
),

unparsed as (
    select
        record_number,
        {{ rule_columns([malformed]) }} as rule
    from source_records
    where parse_error is not null
),

issues as (
    select * from broken
    union all
    select * from unparsed
)

{{ explained_issues('incident', 'issues', 'suspects') }}
