{#- The primary keys of the audit tables, as their yml names them, in one test: a node for each would keep a small build waiting.
    A null counts as a value. -#}
{{ config(tags=['audit'], severity='warn', group='etl') }}
-- depends_on: {{ ref('fct_runs') }}
with offenders as (
    {% for node in graph.get('nodes', {}).values() if node.resource_type == 'model' and node.config.meta.get('primary_key') %}
    {% set columns = node.config.meta.primary_key | join(', ') %}
    {{ 'union all' if not loop.first }}
    select
        '{{ node.name }}' as table_name,
        to_json(list_value({{ node.config.meta.primary_key | join("::varchar, ") }}::varchar))::varchar as key,
        count(*) as rows_found
    from {{ node.schema }}.{{ node.alias }}
    group by {{ columns }}
    having count(*) > 1
    {% else %}
    select null where false
    {% endfor %}
)

select * from offenders
