with events as (
    select * from {{ ref('fct_run_events') }}
),

records as (
    select * from {{ ref('fct_records') }}
),

changes as (
    select * from {{ ref('fct_changes') }}
),

import_records as (
    select * from {{ ref('fct_import_records') }}
),

runs as (
    select * from {{ ref('fct_runs') }}
),

validated_at as (
    select
        run_id,
        max(event_time) as event_time
    from events
    where action = 'validated'
    group by run_id
),

steps as (
    select
        run_id,
        event_time as timestamp,
        action,
        entity_type,
        null::bigint as row_number,
        source_hash,
        details
    from events
),

refused as (
    select
        records.run_id,
        validated_at.event_time as timestamp,
        'record_' || records.status as action,
        records.entity_type,
        records.record_number as row_number,
        records.record_hash as source_hash,
        to_json({ 'reference_number': records.reference_number, 'reason': records.exception_reason }) as details
    from records
    inner join validated_at on records.run_id = validated_at.run_id
    where records.status <> 'valid'
),

changed_records as (
    select
        run_id,
        record_number,
        list_sort(list(field || ': ' || rule)) as fields
    from changes
    group by run_id, record_number
),

transformed as (
    select
        records.run_id,
        validated_at.event_time as timestamp,
        'record_transformed' as action,
        records.entity_type,
        records.record_number as row_number,
        records.record_hash as source_hash,
        to_json({ 'reference_number': records.reference_number, 'fields': changed_records.fields }) as details
    from changed_records
    inner join records
        on changed_records.run_id = records.run_id and changed_records.record_number = records.record_number
    inner join validated_at on changed_records.run_id = validated_at.run_id
),

posted as (
    select
        import_records.run_id,
        coalesce(import_records.attempted_at, runs.end_time) as timestamp,
        'record_' || import_records.result as action,
        import_records.entity_type,
        import_records.record_number as row_number,
        import_records.record_hash as source_hash,
        to_json(
            {
                'reference_number': import_records.reference_number,
                'status_code': import_records.status_code,
                'attempts': import_records.attempts,
                'confirmed_by': import_records.confirmed_by
            }
        ) as details
    from import_records
    left join runs on import_records.run_id = runs.run_id
),

trail as (
    select * from steps
    union all by name
    select * from refused
    union all by name
    select * from transformed
    union all by name
    select * from posted
)

select * from trail
