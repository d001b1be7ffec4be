{#- on-run-end: writes the results of the invocation to `audit`: a row for each test of a payload's lineage, `not_run` for
    those that it left out, `passed_before` for those among them that have passed with the very same seeds and cards, and the digest of each payload that it built and tested without a failure. -#}
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
                {% for result in results if is_test_of(result.node, lineage) and result.status in ('fail', 'error') %}
                    {% do failed.append(result.node.name) %}
                {% endfor %}
                {% do keep_payload(card, is_sound=not failed) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}

{#- Writes the row of the invocation: its command, time and version. -#}
{% macro keep_invocation(results) %}
    {% set passed = results | selectattr('status', 'equalto', 'pass') | map(attribute='node.unique_id') | list %}
    {% set untested = code_tests() | map(attribute='unique_id') | reject('in', passed) | list %}
    {% do run_query("insert into audit.fct_dbt_invocations by name select "
        ~ sql_literal(invocation_id) ~ " as invocation_id, "
        ~ sql_literal(flags.WHICH) ~ " as command, "
        ~ sql_literal(dbt_version) ~ " as dbt_version, "
        ~ "timestamp " ~ sql_literal(run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f')) ~ " as started_at, "
        ~ "now() at time zone 'UTC' as finished_at, "
        ~ results | length ~ " as nodes, "
        ~ "nullif(" ~ sql_literal(env_var('ETL_CODE_DIGEST', '')) ~ ", '') as code_digest, "
        ~ sql_literal(not untested) ~ " as code_passed"
    ) %}
{% endmacro %}

{#- The tests of what is not the file: of seeds and cards. -#}
{% macro code_tests() %}
    {% set found = [] %}
    {% for node in graph.nodes.values() if node.resource_type == 'test' and 'code' in node.tags %}{% do found.append(node) %}{% endfor %}
    {{ return(found) }}
{% endmacro %}

{#- Writes a row per model, seed and test of a payload's lineage. Messages are left out: they may quote cells. -#}
{% macro keep_node_results(entity, lineage, ran) %}
    {% set passed_before = run_query("select count(*) from audit.fct_dbt_invocations where code_passed and code_digest = "
        ~ sql_literal(env_var('ETL_CODE_DIGEST', ''))).rows[0][0] > 0 %}
    {% set rows = [] %}
    {% for node in graph.nodes.values() %}
        {% if node.unique_id in lineage or is_test_of(node, lineage) %}
            {% set result = ran.get(node.unique_id) %}
            {% do rows.append("(" ~ [
                sql_literal(invocation_id), sql_literal(entity), sql_literal(node.unique_id),
                sql_literal(node.resource_type | string), sql_literal(node.name),
                sql_literal(result.status | string if result else 'passed_before' if passed_before and 'code' in node.tags else 'not_run'),
                sql_literal(result.failures if result else none),
                sql_literal(result.execution_time if result else none),
            ] | join(', ') ~ ")") %}
        {% endif %}
    {% endfor %}
    {% do run_query("insert into audit.fct_dbt_results by name select * from (values " ~ rows | join(', ') ~ ") as "
        ~ "results(invocation_id, entity_type, node, resource_type, name, status, failures, execution_seconds)") %}
{% endmacro %}

{#- Writes the digest of the payload as the tests saw it; the loader compares it before it posts. Where a test has failed
    nothing can be posted, and there is no digest. -#}
{% macro keep_payload(card, is_sound) %}
    {% do run_query("insert into audit.fct_dbt_payloads by name select "
        ~ sql_literal(invocation_id) ~ " as invocation_id, "
        ~ sql_literal(card.entity) ~ " as entity_type, "
        ~ ("payload_records, digest from contract.payload_digest(" ~ sql_literal(card.payload_relation) ~ ")"
            if is_sound else "count(*) as payload_records from " ~ card.payload_relation)) %}
{% endmacro %}

{#- The unique ids of a payload model and of everything upstream of it, all of which is tested before anything is posted. -#}
{% macro payload_lineage(unique_id) %}
    {% set seen = [unique_id] %}
    {% for current in seen %}
        {% for parent in graph.nodes[current].depends_on.nodes if parent not in seen and parent in graph.nodes %}
            {% do seen.append(parent) %}
        {% endfor %}
    {% endfor %}
    {{ return(seen) }}
{% endmacro %}

{#- Holds for a test of a model or seed of the lineage. One that only reads a seed of it, as another entity's test reads
    enum_map, tests something else. -#}
{% macro is_test_of(node, lineage) %}
    {{ return(node.resource_type == 'test' and node.attached_node in lineage) }}
{% endmacro %}

{#- Makes a DuckDB macro, kept in the database, that computes the digest of a payload table: the hook and the loader's gate
    call the same one. It covers every column of every row; their order need not be kept, because each row has its number.
    It finds a table that is not the tested one. It is no protection from somebody who can write this database. -#}
{% macro payload_digest_macro() -%}
    create or replace macro contract.payload_digest(relation_name) as table
    with hashed as (
        select
            payload.invocation_id,
            hash(payload) as row_hash
        from query_table(relation_name) as payload
    )

    select
        count(*) as payload_records,
        coalesce(list(distinct invocation_id), []) as invocation_ids,
        coalesce(bit_xor(row_hash), 0)::varchar || '-' || coalesce(sum(row_hash), 0)::varchar as digest
    from hashed
{%- endmacro %}
