{#- The UTC date of `YYYY-MM-DD` or of an ISO date-time with a zone; null for anything else. `20260115` is null:
    the API would take it for a Unix timestamp and store 1970-08-23. A day is one that DuckDB writes as it is written
    here, which costs a tenth of a pattern. DuckDB 1.5 reads no time without seconds, so they are put in. -#}
{% macro utc_date(expression) -%}
    case
        when strlen({{ expression }}) = 10
            then
                case
                    when try_cast(try_cast({{ expression }} as date) as varchar) = {{ expression }}
                        then try_cast({{ expression }} as date)
                end
        when regexp_full_match(
            {{ expression }},
            '[1-9]\d{3}-\d{2}-\d{2}T([01]\d|2[0-3]):\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)'
        )
            then try_cast(try_cast(
                regexp_replace({{ expression }}, '(T\d{2}:\d{2})([^:])', '\1:00\2') as timestamptz
            ) at time zone 'UTC' as date)
    end
{%- endmacro %}
