{#- Staging: every record under the API's names, cleaned, mapped and shortened as the card says. -#}
{% macro staged(entity) %}
{% set fields = card(entity).fields %}

-- Not materialized: the dates are read apart from the other cells, and most files have none to be read.
with source_records as not materialized (
    select * from {{ ref('raw_' ~ entity) }}
),

-- Each value as it is written and folded: most cells are written as one of them, and folding costs more than looking up.
spellings as (
    select
        field,
        api_value,
        unnest([lower(source), {{ folded_value('source') }}]) as spelling
    from (
        select *, coalesce({{ clean_text('source_value') }}, '') as source from {{ ref('enum_map') }}
        where entity = '{{ entity }}'
    ) as enum_map
),

-- Maps to look values up in: a join for each field would cost more than the cleaning. The count is there for a card
-- without enums, because a select has at least one column.
enum_maps as (
    select
        {% for field in fields if field.is_enum %}
            map_from_entries(
                list(distinct (spelling, api_value)) filter (where field = '{{ field.field }}')
            ) as {{ field.field }}_map,
        {% endfor %}
        count(*) as mapped_values
    from spellings
),

cleaned as (
    select
        {% for field in fields %}
            {{ clean_text(source_cell(field)) }} as {{ field.field }},
        {% endfor %}
        source_file,
        source_sha256,
        record_number,
        line_number,
        record_hash,
        parse_error,
        date_order,
        assume_zone
    from source_records
),

{% for field in fields if field.format == 'date' %}
{{ field.field }}_read as (
    {{ dates_as_asked(field) }}
),

{% endfor %}
staged as (
    select
        {% for field in fields %}
            {{ staged_field(field) }} as {{ field.field }},
        {% endfor %}
        cleaned.source_file,
        cleaned.source_sha256,
        cleaned.record_number,
        cleaned.line_number,
        cleaned.record_hash,
        cleaned.parse_error,
        cleaned.date_order,
        cleaned.assume_zone
    from cleaned
    cross join enum_maps
    {% for field in fields if field.format == 'date' %}
    left join {{ field.field }}_read on cleaned.{{ field.field }} = {{ field.field }}_read.written
    {% endfor %}
)

select * from staged
{% endmacro %}
