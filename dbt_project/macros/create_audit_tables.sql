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
