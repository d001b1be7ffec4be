{#- on-run-start: the audit tables exist before anything is selected, so that `dbt build --select ...` alone leaves its
    results too. The columns are those of the models' yml: there is no second list. A column that the yml has and an
    older database lacks is added; none is ever dropped. All goes to DuckDB in one piece, because a small file should not
    wait for dbt to send it a hundred statements. -#}
{% macro create_audit_tables() %}
    {% if execute %}
        {% set held = run_query(
            "select schema_name || '.' || table_name, schema_name || '.' || table_name || '.' || column_name"
            ~ " from duckdb_columns() where database_name = current_database()"
        ) %}
        {% set held_tables, held_columns = held.columns[0].values() | list, held.columns[1].values() | list %}
        {% set statements = ["create schema if not exists audit", "create schema if not exists contract"] %}
        {% for node in graph.nodes.values() if node.resource_type == 'model' and node.fqn[1:3] == ['audit', 'tables'] %}
            {% set table = node.schema ~ "." ~ node.alias %}
            {% set columns = [] %}
            {% for column in node.columns.values() %}{% do columns.append(column.name ~ ' ' ~ column.data_type) %}{% endfor %}
            {% do statements.append("create table if not exists " ~ table ~ " (" ~ columns | join(', ') ~ ")") %}
            {% for column in node.columns.values() if table in held_tables %}
                {% if table ~ '.' ~ column.name not in held_columns %}
                    {% do statements.append("alter table " ~ table ~ " add column " ~ column.name ~ " " ~ column.data_type) %}
                {% endif %}
            {% endfor %}
            {% do adapter.cache_added(api.Relation.create(target.database, node.schema, node.alias, type='table')) %}
        {% endfor %}
        {% do statements.extend(audit_views()) %}
        {% do statements.append(payload_digest_macro()) %}
        {% do run_query(statements | join('\n;\n')) %}
    {% endif %}
{% endmacro %}

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

{#- The statements that make the report views as this version has them, so that a run can be reported on whatever was
    selected. A hook may not call ref(), so the refs, all of them to the audit schema, are filled in here. A view that
    reads others is made after them. -#}
{% macro audit_views() %}
    {% set views, made, statements = {}, [], [] %}
    {% for node in graph.nodes.values() if node.resource_type == 'model' and node.fqn[1:3] == ['audit', 'reports'] %}
        {% do views.update({node.unique_id: node}) %}
    {% endfor %}
    {% for _ in views %}
        {% for name, node in views.items() if name not in made %}
            {% if not node.depends_on.nodes | select('in', views) | reject('in', made) | list %}
                {% set body = node.raw_code | replace("{{ ref('", node.schema ~ ".") | replace("') }}", "") %}
                {% do statements.append("create or replace view " ~ node.schema ~ "." ~ node.alias ~ " as " ~ body) %}
                {% do adapter.cache_added(api.Relation.create(target.database, node.schema, node.alias, type='view')) %}
                {% do made.append(name) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {{ return(statements) }}
{% endmacro %}
