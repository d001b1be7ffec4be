{#- The records that some suspicion holds for, as `staged`, with all that the rules look at: their cells, what they are
    duplicates of, and the row of the unmapped values for each enum. -#}
{% macro examined_records(fields) -%}
    from suspects as staged
    inner join suspect_cells as source_records on staged.record_number = source_records.record_number
    left join duplicates on staged.record_number = duplicates.record_number
    {%- for field in fields if field.is_enum %}
    left join unmapped_values as {{ field.field }}_unmapped
        on
            {{ field.field }}_unmapped.field = '{{ field.field }}'
            and {{ field.field }}_unmapped.value = lower(coalesce(staged.{{ field.field }}, ''))
            and list_contains({{ field.field }}_unmapped.spellings, coalesce(staged.{{ field.field }}, ''))
    {%- endfor %}
{%- endmacro %}
