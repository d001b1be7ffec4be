{#- The identities that the records of the file had before hashes were versioned. The audit trail, documented exceptions and
    runs of that time name them; a record is the same one when either of its identities is. Only an entity that was
    imported then has such a model. -#}
{% macro former_hashes(entity) %}
{{ config(materialized='view') }}

with source_records as (
    select * from {{ ref('raw_' ~ entity) }}
),

former_hashes as (
    select distinct
        record_hash,
        {{ former_record_hash(card(entity).fields) }} as former_hash
    from source_records
)

select * from former_hashes
{% endmacro %}

{#- Such an identity: the SHA-256 of the cells in the order of the card's columns by name, and of the others. It is right while the
    card has the columns that it had then. -#}
{% macro former_record_hash(fields) -%}
    {%- set cells = [] -%}
    {%- for field in fields | sort(attribute='source_column', case_sensitive=true) -%}
        {%- do cells.append(source_cell(field)) -%}
    {%- endfor -%}
    {%- set others = 'source_records.other_cells' -%}
    sha256(
        if(
            source_records.parse_error is null,
            json_array({{ cells | join(', ') }})::varchar || to_json(
                if(source_records.is_export, list_transform({{ others }}, lambda cell: {{ restored_cell('cell') }}), {{ others }})
            )::varchar,
            source_records.raw_record
        )
    )
{%- endmacro %}
