{#- The unique ids of a payload model and of everything upstream of it: what has to be tested before it is posted. -#}
{% macro payload_lineage(unique_id) %}
    {% set seen = [unique_id] %}
    {% for current in seen %}
        {% for parent in graph.nodes[current].depends_on.nodes if parent not in seen and parent in graph.nodes %}
            {% do seen.append(parent) %}
        {% endfor %}
    {% endfor %}
    {{ return(seen) }}
{% endmacro %}
