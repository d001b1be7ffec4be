{#- The values that enum_map does not know, each with the line that would make it known. -#}
{% macro unmapped_values(entity) %}
{% set fields = card(entity).fields %}

with staged as (
    select * from {{ ref('stg_' ~ entity) }} as staged
    where
        parse_error is null
        and not coalesce({{ repeats_header(fields) }}, false)
),

enum_map as (
    select * from {{ ref('enum_map') }}
    where entity = '{{ entity }}'
),

found as (
    {% for field in fields if field.is_enum %}
        {{ 'union all' if not loop.first }}
        select
            {{ sql_literal(field.field) }} as field,
            {{ sql_literal(field.source_column) }} as source_column,
            coalesce({{ field.field }}, '') as spelling,
            count(*) as records
        from staged
        group by {{ field.field }}
    {% else %}
        select null as field, null as source_column, null as spelling, 0 as records where false
    {% endfor %}
),

unmapped as (
    select
        found.field,
        found.source_column,
        lower(found.spelling) as value,
        sum(found.records)::bigint as records,
        list(found.spelling order by found.spelling) as spellings
    from found
    anti join enum_map on found.field = enum_map.field and found.spelling = enum_map.api_value
    group by found.field, found.source_column, lower(found.spelling)
),

compared as (
    select
        unmapped.field,
        unmapped.value,
        enum_map.source_value,
        enum_map.api_value,
        jaro_winkler_similarity(unmapped.value, enum_map.source_value) as similarity
    from unmapped
    inner join enum_map on unmapped.field = enum_map.field
    where similarity >= 0.8
),

nearest as (
    select
        field,
        value,
        first(source_value order by similarity desc, source_value) as nearest_value,
        first(api_value order by similarity desc, source_value) as suggested_api_value
    from compared
    group by field, value
),

unmapped_values as (
    select
        unmapped.*,
        nearest.nearest_value,
        nearest.suggested_api_value,
        '{{ entity }},' || unmapped.field || ',' || {{ csv_cell("nullif(unmapped.value, 'null')") }} || ','
        || coalesce(nearest.suggested_api_value, '') as enum_map_line
    from unmapped
    left join nearest on unmapped.field = nearest.field and unmapped.value = nearest.value
)

select * from unmapped_values
{% endmacro %}
