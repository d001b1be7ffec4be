with staged as (
    select * from {{ ref('stg_incident') }}
    where parse_error is null
),

source_records as (
    select * from {{ ref('raw_incident') }}
),

changed as (
    select
        staged.record_number,
        staged.line_number,
        staged.record_hash,
        staged.reference_number,
        {{ unnest_broken(changed_cells('incident')) }} as change
    from staged
    inner join source_records on staged.record_number = source_records.record_number
),

changes as (
    select
        record_number,
        line_number,
        record_hash,
        reference_number,
        change.field as field,
        change.before as before,
        change.after as after,
        length(change.before) as before_length,
        length(change.after) as after_length,
        change.rule as rule
    from changed
)

select * from changes
