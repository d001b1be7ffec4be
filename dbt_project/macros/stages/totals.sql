{#- The counts of the file, which must close, and the hash of the validated output. -#}
{% macro totals(entity) %}
{% set cells = ['record_hash'] %}
{% for field in card(entity).fields | sort(attribute='field') %}
    {% do cells.append('coalesce(' ~ field.field ~ ', chr(0))') %}
{% endfor %}

with source_records as (
    select * from {{ ref('raw_' ~ entity) }}
),

records as (
    select * from {{ ref('int_' ~ entity ~ '_records') }}
),

staged as (
    select * from {{ ref('stg_' ~ entity) }}
),

issues as (
    select count(*) filter (where severity = 'warning') as warnings from {{ ref('int_' ~ entity ~ '_issues') }}
),

source_file as (
    select
        source_file,
        source_sha256,
        from_json(source_columns, '["VARCHAR"]') as source_columns,
        source_records,
        source_blank_lines,
        is_export
    from source_records
    where record_number = 1
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

-- By the block, because DuckDB sorts one list on one core alone.
hashed_blocks as (
    select
        record_number // 16384 as block,
        md5(string_agg(md5(concat_ws(chr(0), {{ cells | join(', ') }})), '' order by record_number)) as digest
    from staged
    group by block
),

hashed_records as (select list(digest order by block) as digests from hashed_blocks),

hashed_verdicts as (
    select list(record_number || status || to_json([error_codes, warning_codes]) order by record_number) as verdicts
    from records
    where status <> 'valid' or len(warning_codes) > 0
),

totals as (
    select
        '{{ invocation_id }}' as invocation_id,
        source_file.*,
        counted.*,
        issues.warnings,
        sha256(array_to_string(list_concat(digests, verdicts), '')) as output_hash
    from source_file
    cross join counted
    cross join issues
    cross join hashed_records
    cross join hashed_verdicts
)

select * from totals
{% endmacro %}
