{% set card = card('incident') %}

with source_records as (
    select * from {{ ref('raw_incident') }}
),

-- Maps to look values up in: a join for each field would cost more than the cleaning. The count is there for a card
-- without enums, because a select has at least one column.
enum_maps as (
    select
        {% for field in card.fields if field.is_enum %}
            map_from_entries(
                list((coalesce(source_value, ''), api_value)) filter (where field = '{{ field.field }}')
            ) as {{ field.field }}_map,
        {% endfor %}
        count(*) as mapped_values
    from {{ ref('enum_map') }}
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
        {{ record_hash(card.fields) }} as record_hash,
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
    cross join enum_maps
)

select * from staged
