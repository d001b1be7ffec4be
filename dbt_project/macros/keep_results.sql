{#- on-run-end: the results of every invocation go to `audit`, with a `not_run` row for each test of a payload's lineage
    that this invocation left out, and with the digest of each payload it built, taken after the tests unless one of them failed. -#}
{% macro keep_results(results) %}
    {% if execute %}
        {% set ran = {} %}
        {% for result in results %}{% do ran.update({result.node.unique_id: result}) %}{% endfor %}
        {% do keep_invocation(results) %}
        {% for card in cards() %}
            {% set lineage = payload_lineage(card.payload_node) %}
            {% do keep_node_results(card.entity, lineage, ran) %}
            {% if card.payload_node in ran and ran[card.payload_node].status == 'success' %}
                {% set failed = [] %}
                {% for result in results if result.node.resource_type == 'test' and result.status in ('fail', 'error') %}
                    {% do failed.extend(result.node.depends_on.nodes | select('in', lineage)) %}
                {% endfor %}
                {% do keep_payload(card, is_sound=not failed) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
