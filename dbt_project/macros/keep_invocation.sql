{#- One row per dbt invocation: what was run, when, with which version. -#}
{% macro keep_invocation(results) %}
    {% do run_query("insert into audit.fct_dbt_invocations by name select "
        ~ sql_literal(invocation_id) ~ " as invocation_id, "
        ~ sql_literal(flags.WHICH) ~ " as command, "
        ~ sql_literal(dbt_version) ~ " as dbt_version, "
        ~ "timestamp " ~ sql_literal(run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f')) ~ " as started_at, "
        ~ "now() at time zone 'UTC' as finished_at, "
        ~ results | length ~ " as nodes"
    ) %}
{% endmacro %}
