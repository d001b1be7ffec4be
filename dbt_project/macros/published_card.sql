{#- The card of one entity as `contract.dim_payload_fields` holds it; an error when it holds none. -#}
{% macro published_card(entity) %}
    {% set rows = run_query(
        "select * exclude (enum_values) from contract.dim_payload_fields where entity = "
        ~ sql_literal(entity) ~ " order by field_position"
    ) %}
    {% if not rows.rows %}
        {% do exceptions.raise_compiler_error(
            "no payload model has `meta.entity: " ~ entity ~ "`; write its card in dbt_project/models/" ~ entity ~ ".yml"
        ) %}
    {% endif %}
    {% set fields = [] %}
    {% for row in rows.rows %}{% do fields.append(dict(row.items())) %}{% endfor %}
    {{ return({'entity': entity, 'fields': fields}) }}
{% endmacro %}
