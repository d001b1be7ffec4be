{#- The digest of a payload table as a DuckDB macro, kept in the database: the hook and the loader's gate call the same
    one. Every column of every row counts; a row holds its number, so their order need not. It guards against a table
    that is not the tested one, not against somebody who can write this database. -#}
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
