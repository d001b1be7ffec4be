{#- A cell of the file as it was meant: in a file that we wrote, the apostrophe that keeps a spreadsheet from running the
    cell as a formula is taken away again. -#}
{% macro restored_cell(cell) -%}
    case
        when source_records.is_export and regexp_matches({{ cell }}, '^''+[=+\-@\t\r\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]')
            then substring({{ cell }}, 2)
        else {{ cell }}
    end
{%- endmacro %}
