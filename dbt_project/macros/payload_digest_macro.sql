{#- The digest of a payload table as a DuckDB macro, kept in the database: the hook and the loader's gate call the same
    one. Every column of every row counts, in the order of the records. -#}
{% macro payload_digest_macro() -%}
    create or replace macro contract.payload_digest(relation_name) as table
    select
        count(*) as payload_records,
        coalesce(list(distinct payload.invocation_id), []) as invocation_ids,
        sha256(coalesce(string_agg(sha256(to_json(payload)), '' order by payload.record_number), '')) as digest
    from query_table(relation_name) as payload
{%- endmacro %}
