{#- One expression per field: null, or {field, before, after, rule} where staging changed the cell. -#}
{% macro changed_cells(entity) %}
    {% set cells = [] %}
    {% for field in card(entity).fields %}
        {% set before %}coalesce(source_records.{{ adapter.quote(field.source_column) }}, ''){% endset %}
        {% set after %}coalesce(staged.{{ field.field }}, ''){% endset %}
        {% set rule -%}
            case
                when {{ clean_text(before) }} is null then 'default'
                when {{ clean_text(before) }} = {{ after }} then 'trimmed'
                else {{ "'mapped'" if field.is_enum else "'truncated'" }}
            end
        {%- endset %}
        {% do cells.append(
            "case when " ~ before ~ " <> " ~ after ~ " and not (" ~ after ~ " = '' and " ~ clean_text(before) ~ " is null) then {"
            ~ "'field': '" ~ field.field ~ "', 'before': " ~ before ~ ", 'after': " ~ after ~ ", 'rule': " ~ rule ~ "} end"
        ) %}
    {% endfor %}
    {{ return(cells) }}
{% endmacro %}
