{#- One row per model, seed and test of a payload's lineage. Messages are left out: they may quote cells. -#}
{% macro keep_node_results(entity, lineage, ran) %}
    {% set rows = [] %}
    {% for node in graph.nodes.values() %}
        {% set is_test = node.resource_type == 'test' and node.depends_on.nodes | select('in', lineage) | list %}
        {% if node.unique_id in lineage or is_test %}
            {% set result = ran.get(node.unique_id) %}
            {% do rows.append("(" ~ [
                sql_literal(invocation_id), sql_literal(entity), sql_literal(node.unique_id),
                sql_literal(node.resource_type | string), sql_literal(node.name),
                sql_literal(result.status | string if result else 'not_run'),
                sql_literal(result.failures if result else none),
                sql_literal(result.execution_time if result else none),
            ] | join(', ') ~ ")") %}
        {% endif %}
    {% endfor %}
    {% do run_query("insert into audit.fct_dbt_results by name select * from (values " ~ rows | join(', ') ~ ") as "
        ~ "results(invocation_id, entity_type, node, resource_type, name, status, failures, execution_seconds)") %}
{% endmacro %}
