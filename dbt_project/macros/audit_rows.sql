{#- The body of an audit table's model: its columns as documented in yml, typed, and no row. Rows come from the hook
    and the loader and are never rebuilt (`full_refresh: false`). -#}
{% macro audit_rows() %}
with documented_columns as (
    select
        {% for column in model.columns.values() %}
        cast(null as {{ column.data_type }}) as {{ column.name }}{{ ',' if not loop.last }}
        {% endfor %}
)

select * from documented_columns where false
{% endmacro %}
