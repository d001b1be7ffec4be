{#- on-run-start: the audit tables exist before anything is selected, so that `dbt build --select ...` alone leaves its
    results too. The columns are those of the models' yml: there is no second list. A column that the yml has and an
    older database lacks is added; none is ever dropped. -#}
{% macro create_audit_tables() %}
    {% if execute %}
        {% for node in graph.nodes.values() if node.resource_type == 'model' and node.fqn[1:3] == ['audit', 'tables'] %}
            {% do run_query("create schema if not exists " ~ node.schema) %}
            {% set table = node.schema ~ "." ~ node.alias %}
            {% set columns = [] %}
            {% for column in node.columns.values() %}{% do columns.append(column.name ~ ' ' ~ column.data_type) %}{% endfor %}
            {% do run_query("create table if not exists " ~ table ~ " (" ~ columns | join(', ') ~ ")") %}
            {% set held = run_query("select column_name from (describe " ~ table ~ ")").columns[0].values() %}
            {% for column in node.columns.values() if column.name not in held %}
                {% do run_query("alter table " ~ table ~ " add column " ~ column.name ~ " " ~ column.data_type) %}
            {% endfor %}
            {% do adapter.cache_added(api.Relation.create(target.database, node.schema, node.alias, type='table')) %}
        {% endfor %}
        {% do create_audit_views() %}
        {% do run_query("create schema if not exists contract") %}
        {% do run_query(payload_digest_macro()) %}
    {% endif %}
{% endmacro %}
