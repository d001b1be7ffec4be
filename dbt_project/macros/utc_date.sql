{#- The UTC date of `YYYY-MM-DD` or of an ISO date-time with a zone; null for anything else. `20260115` is null:
    the API would take it for a Unix timestamp and store 1970-08-23. -#}
{% macro utc_date(expression) -%}
    case
        when regexp_full_match({{ expression }}, '\d{4}-\d{2}-\d{2}') then try_cast({{ expression }} as date)
        when regexp_full_match({{ expression }}, '\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})')
            then try_cast(try_cast({{ expression }} as timestamptz) at time zone 'UTC' as date)
    end
{%- endmacro %}
