{#- Every cell that staging changed. -#}
{% macro changes(entity) %}
{{ config(materialized='view') }}
{% set fields = card(entity).fields %}

-- Each field reads its own column alone: DuckDB would keep whatever is read twice in memory, every column of it.
with staged as not materialized (
    select * from {{ ref('stg_' ~ entity) }}
    where parse_error is null
),

source_records as not materialized (
    select * from {{ ref('raw_' ~ entity) }}
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
{% endmacro %}
