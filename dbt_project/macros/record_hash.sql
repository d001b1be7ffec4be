{#- What tells a record from every other: the SHA-256 of its cells, in the order of the columns' names, so that neither
    their order in the file nor the quoting matters; of its text where it is malformed. A file that we wrote has the
    hashes of the file it was made from. -#}
{% macro record_hash(fields) -%}
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
