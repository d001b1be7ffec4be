{#- on-run-start: makes the audit tables and views, so that `dbt build --select ...` alone leaves its results too, and a run
    can be reported on whatever was selected. It makes them of what their models are made of: a table of `audit_rows`, a
    view of its model's SQL. A column that the yml has and an older database lacks is added; none is ever dropped. All
    goes to DuckDB in one piece, because a small file should not wait for dbt to send it two hundred statements. -#}
{% macro create_audit_tables() %}
    {% if execute %}
        {% do context.update({'ref': audit_relation}) %}
        {% set statements = ["create schema if not exists audit", "create schema if not exists contract"] %}
        {% for node in audit_models('tables') %}
            {% set table = audit_relation(node.name) %}
            {% do statements.append("create table if not exists " ~ table ~ " as " ~ audit_rows(node.columns)) %}
            {% for column in node.columns.values() %}
                {% do statements.append(
                    "alter table " ~ table ~ " add column if not exists " ~ column.name ~ " " ~ column.data_type
                ) %}
            {% endfor %}
        {% endfor %}
        {% for node in audit_models('reports') %}
            {% do statements.append("create or replace view " ~ audit_relation(node.name) ~ " as " ~ render(node.raw_code)) %}
        {% endfor %}
        {% do statements.append(payload_digest_macro()) %}
        {% do run_query(statements | join('\n;\n')) %}
    {% endif %}
{% endmacro %}

{#- Takes the place of `ref` in the hook, where dbt's own allows only what was declared while the project was parsed. -#}
{% macro audit_relation(name) %}
    {{ return('audit.' ~ name) }}
{% endmacro %}

{#- The models of a folder of models/audit, each after those that it reads. -#}
{% macro audit_models(folder) %}
    {% set waiting, ordered = {}, [] %}
    {% for node in graph.nodes.values() if node.resource_type == 'model' and node.fqn[1:3] == ['audit', folder] %}
        {% do waiting.update({node.unique_id: node}) %}
    {% endfor %}
    {% for _ in range(waiting | length) %}
        {% for name, node in waiting.items() | list if not node.depends_on.nodes | select('in', waiting) | list %}
            {% do ordered.append(waiting.pop(name)) %}
        {% endfor %}
    {% endfor %}
    {{ return(ordered) }}
{% endmacro %}

{#- The body of an audit table's model: the columns of its yml, typed, without a row. The on-run-end hook and the loader
    add the rows, which are never rebuilt (`full_refresh: false`). -#}
{% macro audit_rows(columns=model.columns) %}
with documented_columns as (
    select
        {% for column in columns.values() %}
        cast(null as {{ column.data_type }}) as {{ column.name }}{{ ',' if not loop.last }}
        {% endfor %}
)

select * from documented_columns where false
{% endmacro %}
