with source_records as (
    select * from {{ ref('raw_incident') }}
),

records as (
    select * from {{ ref('int_incident_records') }}
),

staged as (
    select * from {{ ref('stg_incident') }}
),

issues as (
    select count(*) filter (where severity = 'warning') as warnings from {{ ref('int_incident_issues') }}
),

source_file as (
    select distinct
        source_file,
        source_sha256,
        source_columns,
        source_records,
        source_blank_lines
    from source_records
),

counted as (
    select
        count(*) filter (where status = 'parse_error') as parse_error_records,
        count(*) filter (where status = 'invalid') as invalid_records,
        count(*) filter (where status = 'duplicate') as duplicate_records,
        count(*) filter (where status = 'excepted') as excepted_records,
        count(*) filter (where status = 'valid') as ready_records
    from records
),

hashed as (
    select
        sha256(string_agg(
            sha256(
                records.record_hash || records.status || to_json(records.error_codes) || to_json(records.warning_codes)
                {% for field in card('incident').fields | sort(attribute='field') %}
                    || chr(0) || coalesce(staged.{{ field.field }}, chr(0))
                {% endfor %}
            ),
            '' order by records.record_number
        )) as output_hash
    from records
    inner join staged on records.record_number = staged.record_number
),

totals as (
    select
        '{{ invocation_id }}' as invocation_id,
        source_file.*,
        counted.*,
        issues.warnings,
        hashed.output_hash
    from source_file
    cross join counted
    cross join issues
    cross join hashed
)

select * from totals
