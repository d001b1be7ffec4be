{#- The records that are ready to be posted. -#}
{% macro payload(entity) %}
-- Built before the payload, so that selecting the payload selects all that its tests and the loader read.
-- depends_on: {{ ref('int_' ~ entity ~ '_totals') }}
-- depends_on: {{ ref('int_' ~ entity ~ '_changes') }}
-- depends_on: {{ ref('dim_entities') }}
with staged as (
    select * from {{ ref('stg_' ~ entity) }}
),

-- The few that are refused and not the many that are valid: to leave some out is cheaper than to look all up.
refused_records as (
    select record_number from {{ ref('int_' ~ entity ~ '_records') }}
    where status <> 'valid'
),

payload as (
    select
        staged.record_number,
        staged.line_number,
        staged.record_hash,
        staged.source_file,
        staged.source_sha256,
        '{{ invocation_id }}' as invocation_id,
        {{ card_columns(entity, 'staged') }}
    from staged
    where staged.record_number not in (select record_number from refused_records)
)

select * from payload
{% endmacro %}
