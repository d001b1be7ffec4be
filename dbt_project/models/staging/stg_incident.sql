{% set card = card('incident') %}

with source_records as (
    select * from {{ ref('raw_incident') }}
),

enum_map as (
    select * from {{ ref('enum_map') }}
    where entity = 'incident'
),

staged as (
    select
        {% for field in card.fields %}
            {{ staged_field(field) }} as {{ field.field }},
        {% endfor %}
        source_records.source_file,
        source_records.source_sha256,
        source_records.record_number,
        source_records.line_number,
        source_records.record_hash,
        source_records.parse_error
    from source_records
    {% for field in card.fields if field.is_enum %}
        left join enum_map as {{ field.field }}_map
            on
                {{ field.field }}_map.field = '{{ field.field }}'
                and coalesce({{ field.field }}_map.source_value, '')
                = lower(coalesce({{ clean_text(source_cell(field)) }}, ''))
    {% endfor %}
)

select * from staged
