{#- The cards of all entities, read from the contracts of the payload models: a list of
    {entity, endpoint, list_path, create_schema, look_up, read_permission, create_permissions, payload_relation,
    payload_node, severities, fields}, the fields in the order of the contract. -#}
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
                'is_required': meta.get('is_key', false)
                    or 'not_null' in column.constraints | map(attribute='type') | map('string') | list,
                'is_enum': meta.get('enum', false),
                'max_length': meta.get('max_length'),
                'min_length': meta.get('min_length'),
                'counts': meta.get('counts', 'characters'),
                'is_sanitised': meta.get('is_sanitised', false),
                'is_stripped': meta.get('is_stripped', false),
                'on_too_long': meta.get('on_too_long'),
                'default_value': meta.get('default'),
                'reserved': meta.get('reserved'),
                'reserved_form': meta.get('reserved_form'),
                'pattern': meta.get('pattern'),
                'pattern_form': meta.get('pattern_form'),
                'allows_future': meta.get('allows_future', false),
                'no_capitals': meta.get('no_capitals', false),
            }) %}
        {% endfor %}
        {% do found.append({
            'entity': node.config.meta.entity,
            'endpoint': node.config.meta.endpoint,
            'list_path': node.config.meta.list_path,
            'look_up': node.config.meta.look_up,
            'read_permission': node.config.meta.read_permission,
            'create_permissions': node.config.meta.create_permissions | join(', '),
            'create_schema': node.config.meta.create_schema,
            'severities': node.config.meta.get('severities', {}),
            'payload_relation': node.schema ~ '.' ~ node.alias,
            'payload_node': node.unique_id,
            'fields': fields,
        }) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{#- Stops at a property that nothing reads, of the entity or of a field: a slip of the pen would switch a rule off without a
    word. docs/extending.md says what each does. -#}
{% macro check_properties(node) %}
    {% set of_entity = [
        'entity', 'endpoint', 'list_path', 'create_schema', 'look_up', 'read_permission', 'create_permissions', 'severities'
    ] %}
    {% set of_field = [
        'source_column', 'is_key', 'enum', 'format', 'default', 'max_length', 'min_length', 'on_too_long', 'counts',
        'is_sanitised', 'is_stripped', 'reserved', 'reserved_form', 'pattern', 'pattern_form', 'allows_future', 'no_capitals'
    ] %}
    {% set written = [('the card', node.config.meta, of_entity)] %}
    {% for column in node.columns.values() %}
        {% do written.append(('the field ' ~ column.name, column.config.meta, of_field)) %}
    {% endfor %}
    {% for place, properties, known in written %}{% for property in properties if property not in known %}
        {% do exceptions.raise_compiler_error(
            node.patch_path.split('://')[-1] ~ ": " ~ place ~ " has the unknown property `" ~ property
            ~ "`; write one of " ~ known | join(', ')
        ) %}
    {% endfor %}{% endfor %}
{% endmacro %}

{#- The card of one entity. While dbt parses, there is no graph yet and the card is empty. In a unit test the graph has only
    the tested model, so the card is read from the table in which it was published. -#}
{% macro card(entity) %}
    {% set found = cards() | selectattr('entity', 'equalto', entity) | list %}
    {% if execute and not found %}
        {% do found.append(published_card(entity)) %}
    {% endif %}
    {{ return(found[0] if found else {'fields': []}) }}
{% endmacro %}

{#- The card of one entity as it was published in `contract.dim_payload_fields`; an error when it was not. -#}
{% macro published_card(entity) %}
    {% set rows = run_query(
        "select * exclude (enum_values) from contract.dim_payload_fields where entity = "
        ~ sql_literal(entity) ~ " order by field_position"
    ) %}
    {% if not rows.rows %}
        {% do exceptions.raise_compiler_error(
            "no payload model has `meta.entity: " ~ entity ~ "`; write its card in dbt_project/models/payload/"
            ~ entity ~ ".yml"
        ) %}
    {% endif %}
    {% set fields = [] %}
    {% for row in rows.rows %}{% do fields.append(dict(row.items())) %}{% endfor %}
    {{ return({'entity': entity, 'fields': fields}) }}
{% endmacro %}

{#- The field that makes creation idempotent; while dbt parses, when there are no fields yet, the record's hash. -#}
{% macro key_field(fields) %}
    {{ return(fields | selectattr('is_key') | first | default({'field': 'record_hash', 'source_column': none})) }}
{% endmacro %}

{#- The fields of a card as columns of `relation`, separated by commas. -#}
{% macro card_columns(entity, relation) -%}
    {%- set columns = [] -%}
    {%- for field in card(entity).fields -%}{%- do columns.append(relation ~ '.' ~ field.field) -%}{%- endfor -%}
    {{- columns | join(',\n        ') -}}
{%- endmacro %}

{#- The entities that have a card as a select, one row each; no rows while dbt parses, when there is no graph yet. -#}
{% macro published_entities() %}
    {%- set rows = [] -%}
    {%- for card in cards() -%}
        {%- set columns = [] -%}
        {%- for name, value in card.items() if name != 'fields' -%}
            {%- do columns.append(sql_literal(tojson(value) if value is mapping else value) ~ ' as ' ~ name) -%}
        {%- endfor -%}
        {%- do rows.append('select ' ~ columns | join(', ')) -%}
    {%- endfor -%}
    {{- rows | join('\n    union all\n    ') or 'select null where false' -}}
{% endmacro %}

{#- The fields of all cards as a select, one row each; no rows while dbt parses, when there is no graph yet. -#}
{% macro published_fields() %}
    {%- set types = {'is_key': 'boolean', 'is_required': 'boolean', 'is_enum': 'boolean', 'is_sanitised': 'boolean',
        'is_stripped': 'boolean', 'allows_future': 'boolean', 'no_capitals': 'boolean', 'max_length': 'bigint', 'min_length': 'bigint'} -%}
    {%- set rows = [] -%}
    {%- for card in cards() -%}
        {%- do check_properties(graph.nodes[card.payload_node]) -%}
        {%- for field in card.fields -%}
            {%- set columns = [sql_literal(card.entity) ~ ' as entity', loop.index ~ ' as field_position'] -%}
            {%- for name, value in field.items() -%}
                {%- do columns.append('cast(' ~ sql_literal(value) ~ ' as ' ~ types.get(name, 'varchar') ~ ') as ' ~ name) -%}
            {%- endfor -%}
            {%- do rows.append('select ' ~ columns | join(', ')) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- rows | join('\n    union all\n    ') or 'select null as entity, null as field, false as is_enum where false' -}}
{% endmacro %}
