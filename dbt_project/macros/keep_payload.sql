{#- What the tests of this invocation saw: the digest that the loader compares before it posts. -#}
{% macro keep_payload(card) %}
    {% do run_query("insert into audit.fct_dbt_payloads by name select "
        ~ sql_literal(invocation_id) ~ " as invocation_id, "
        ~ sql_literal(card.entity) ~ " as entity_type, payload_records, digest "
        ~ "from contract.payload_digest(" ~ sql_literal(card.payload_relation) ~ ")") %}
{% endmacro %}
