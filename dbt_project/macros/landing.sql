{#- Landing: names the file and the card that the records come from, for dbt's lineage. It is never run: DuckDB would guess what
    the materialization `landed` reads strictly. -#}
{% macro landed(entity) %}
-- depends_on: {{ ref('dim_payload_fields') }}
select * from {{ source('files', entity ~ '_csv') }}
{% endmacro %}

{#- Makes the table of a landing model from what `loader.landing.land` reads of the entity's file: every cell as text, nothing
    changed and nothing lost. dbt gives a connection to Python alone, so that is what the statement holds. -#}
{% materialization landed, adapter='duckdb' %}
    {% set relation = this.incorporate(type='table') %}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main', language='python') %}
from loader.landing.land import land


def dbtObj(load):
    return load


def model(load, connection):
    return land(connection, load("{{ ref('dim_payload_fields').include(database=false) | replace('"', '') }}"), "{{ this.identifier }}")


def materialize(landed, connection):
    connection.register("landed_records", landed)
    connection.execute("create or replace table {{ relation.include(database=false) | replace('"', '') }} as select * from landed_records")
    connection.unregister("landed_records")
    {% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}
