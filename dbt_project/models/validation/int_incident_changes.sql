{{ config(materialized='view') }}
{% set fields = card('incident').fields %}

with staged as (
    select * from {{ ref('stg_incident') }}
    where parse_error is null
),

source_records as (
    select * from {{ ref('raw_incident') }}
),

changes as (
    {% for field in fields %}
        {{ 'union all' if not loop.first }}
        {{ changed_cells(field, key_field(fields).field) }}
    {% else %}
        select null where false
    {% endfor %}
)

select * from changes
