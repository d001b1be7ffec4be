{#- The cards of all entities, read from the contracts of the payload models: a list of
    {entity, endpoint, create_schema, payload_relation, payload_node, fields}, the fields in the order of the contract. -#}
{% macro cards() %}
    {% set found = [] %}
    {% for node in graph.get('nodes', {}).values() if node.resource_type == 'model' and node.config.meta.get('entity') %}
        {% set fields = [] %}
        {% for column in node.columns.values() if column.config.meta.get('source_column') %}
            {% set meta = column.config.meta %}
            {% do fields.append({
                'field': column.name,
                'source_column': meta.source_column,
                'data_type': column.data_type,
                'format': meta.get('format'),
                'is_key': meta.get('is_key', false),
                'is_required': 'not_null' in column.constraints | map(attribute='type') | map('string') | list,
                'is_enum': meta.get('enum', false),
                'max_length': meta.get('max_length'),
                'counts': meta.get('counts', 'characters'),
                'is_stripped': meta.get('is_stripped', false),
                'on_too_long': meta.get('on_too_long'),
                'default_value': meta.get('default'),
                'reserved': meta.get('reserved'),
            }) %}
        {% endfor %}
        {% do found.append({
            'entity': node.config.meta.entity,
            'endpoint': node.config.meta.endpoint,
            'create_schema': node.config.meta.create_schema,
            'payload_relation': node.schema ~ '.' ~ node.alias,
            'payload_node': node.unique_id,
            'fields': fields,
        }) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}
