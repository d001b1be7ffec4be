{#- What the tests of this invocation saw: the digest that the loader compares before it posts. Where a test has failed
    nothing can be posted, and there is no digest. -#}
{% macro keep_payload(card, is_sound) %}
    {% do run_query("insert into audit.fct_dbt_payloads by name select "
        ~ sql_literal(invocation_id) ~ " as invocation_id, "
        ~ sql_literal(card.entity) ~ " as entity_type, "
        ~ ("payload_records, digest from contract.payload_digest(" ~ sql_literal(card.payload_relation) ~ ")"
            if is_sound else "count(*) as payload_records from " ~ card.payload_relation)) %}
{% endmacro %}
