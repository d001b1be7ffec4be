-- The totals are built before the payload, so that selecting the payload selects all that its tests read.
-- depends_on: {{ ref('int_incident_totals') }}
with staged as (
    select * from {{ ref('stg_incident') }}
),

valid_records as (
    select record_number from {{ ref('int_incident_records') }}
    where status = 'valid'
),

payload as (
    select
        staged.record_number,
        staged.line_number,
        staged.record_hash,
        staged.source_file,
        staged.source_sha256,
        '{{ invocation_id }}' as invocation_id,
        {{ card_columns('incident', 'staged') }}
    from staged
    inner join valid_records on staged.record_number = valid_records.record_number
    order by staged.record_number
)

select * from payload
