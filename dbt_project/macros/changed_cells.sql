{#- The cells of one field that staging changed: where, before, after, and by which rule. The cell itself is compared. -#}
{% macro changed_cells(field, key) %}
    {%- set cell = 'source_records.' ~ adapter.quote(field.source_column) -%}
    {%- set after = 'staged.' ~ field.field -%}
    select
        staged.record_number,
        staged.line_number,
        staged.{{ key }} as reference_number,
        '{{ field.field }}' as field,
        coalesce({{ cell }}, '') as before,
        coalesce({{ after }}, '') as after,
        case
            when {{ after }} is null then 'trimmed'
            when {{ clean_text(source_cell(field)) }} is null then 'default'
            when {{ clean_text(cell) }} = {{ after }} then 'trimmed'
            when {{ clean_text(source_cell(field)) }} = {{ after }} then 'restored'
            else {{ "'mapped'" if field.is_enum else "'truncated'" }}
        end as rule
    from staged
    inner join source_records on staged.record_number = source_records.record_number
    where
        coalesce({{ cell }}, '') <> coalesce({{ after }}, '')
{% endmacro %}
