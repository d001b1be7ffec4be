{#- How tables and views are made: in one statement. dbt's own way, which makes them beside the old ones and renames both, sends
    ten; DuckDB replaces a table in one transaction anyhow, and a file of five records waits for nothing else. The payload is a
    view where ETL_PAYLOAD says so: dbt parses a model anew when a variable that its configuration reads has changed. What a view reads
    is named without the database, whose name is that of its file: a copy has another. -#}
{% materialization table, adapter='duckdb' %}
    {{ return(replaced(env_var('ETL_PAYLOAD', 'table') if config.get('meta').get('entity') else 'table')) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {{ return(replaced('view')) }}
{% endmaterialization %}

{#- What the on-run-start hook has made: only its contract is left to check. -#}
{% materialization made_by_hook, adapter='duckdb' %}
    {% if config.get('contract').enforced %}{% do get_assert_columns_equivalent(compiled_code) %}{% endif %}
    {% call noop_statement('main', 'made by the on-run-start hook') %}{% endcall %}
    {{ return({'relations': [this]}) }}
{% endmaterialization %}

{% macro replaced(kind) %}
    {% set relation = this.incorporate(type=kind) %}
    {% set before = load_cached_relation(this) %}
    {% set has_contract = config.get('contract').enforced %}
    {% call statement('main') %}
        {% if has_contract %}{{ get_assert_columns_equivalent(compiled_code) }}{% endif %}
        {% if before and before.type != kind %}drop {{ before.type }} {{ relation }};{% endif %}
        {% if has_contract and kind == 'table' %}
        create or replace table {{ relation }} {{ get_table_columns_and_constraints() }};
        insert into {{ relation }} {{ get_column_names() }} ({{ get_select_subquery(compiled_code) }})
        {% else %}
        create or replace {{ kind }} {{ relation }} as ({{ compiled_code | replace(adapter.quote(this.database) ~ '.', '') }})
        {% endif %}
    {% endcall %}
    {{ adapter.commit() }}
    {{ return({'relations': [relation]}) }}
{% endmacro %}
