{% set card = card('incident') %}

with source_records as (
    select * from {{ ref('raw_incident') }}
),

enum_map as (
    select * from {{ ref('enum_map') }}
    where entity = 'incident'
),

cleaned as (
    select
        {% for field in card.fields %}
            {{ clean_text(source_cell(field)) }} as {{ field.field }},
        {% endfor %}
        source_file,
        source_sha256,
        record_number,
        line_number,
        record_hash,
        parse_error
    from source_records
),

staged as (
    select
        {% for field in card.fields %}
            {{ staged_field(field) }} as {{ field.field }},
        {% endfor %}
        cleaned.source_file,
        cleaned.source_sha256,
        cleaned.record_number,
        cleaned.line_number,
        cleaned.record_hash,
        cleaned.parse_error
    from cleaned
    {% for field in card.fields if field.is_enum %}
        left join enum_map as {{ field.field }}_map
            on
                {{ field.field }}_map.field = '{{ field.field }}'
                and coalesce({{ field.field }}_map.source_value, '') = lower(coalesce(cleaned.{{ field.field }}, ''))
    {% endfor %}
)

select * from staged
