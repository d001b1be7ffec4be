{#- The rules of a date: one that can be read, and not after today (UTC). -#}
{% macro date_rules(field, after) %}
    {% set read = utc_date(after) %}
    {% set suspicion = after ~ " is not null and coalesce(" ~ read ~ " > " ~ today_utc() ~ ", true)" %}
    {{ return([
        broken_rule('invalid_date', field, after ~ " is not null and " ~ read ~ " is null", after,
            detail=date_complaint(after), suggestion=suggested_date(after), suspicion=suspicion),
        broken_rule('date_in_future', field, read ~ " > " ~ today_utc(), after, suspicion=suspicion),
    ]) }}
{% endmacro %}
