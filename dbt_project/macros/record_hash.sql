{#- What tells a record from every other: the SHA-256 of its cells as they stand in the file, in the order of the columns'
    names, so that neither their order in the file nor the quoting matters; of its text where it is malformed. -#}
{% macro record_hash(fields) -%}
    {%- set cells = [] -%}
    {%- for name in fields | map(attribute='source_column') | sort(case_sensitive=true) -%}
        {%- do cells.append('source_records.' ~ adapter.quote(name)) -%}
    {%- endfor -%}
    sha256(
        if(
            source_records.parse_error is null,
            json_array({{ cells | join(', ') }})::varchar || to_json(source_records.other_cells)::varchar,
            source_records.raw_record
        )
    )
{%- endmacro %}
