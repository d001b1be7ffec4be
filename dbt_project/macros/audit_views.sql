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
