{#- The UTC date of `YYYY-MM-DD` or of an ISO date-time with a zone; null for any other text. `20260115` is null: the API
    would take it for a Unix timestamp and store 1970-08-23. A day is accepted when DuckDB writes it in the same way, which
    costs a tenth of a pattern. DuckDB 1.5 reads no time without seconds, so they are added. -#}
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

{#- Today in UTC, because the API compares dates with that. Unit tests put their own day in its place. -#}
{% macro today_utc() -%}
    date '{{ run_started_at.strftime("%Y-%m-%d") }}'
{%- endmacro %}

{#- Records of an earlier year are not expected: such a date is warned of, and none is suggested. -#}
{% macro earliest_year() -%}
    1990
{%- endmacro %}

{#- The end of a message that says why a text is no accepted date: `03/04/2026` is ambiguous. -#}
{% macro date_complaint(expression) -%}
    {%- set slashed = "translate(" ~ expression ~ ", '.-', '//')" -%}
    {%- set day_first = "try_strptime(" ~ slashed ~ ", '%d/%m/%Y')" -%}
    {%- set month_first = "try_strptime(" ~ slashed ~ ", '%m/%d/%Y')" -%}
    {%- set digits = "try_cast(" ~ expression ~ " as bigint)" -%}
    case
        when regexp_full_match({{ expression }}, '\d{1,2}([/.-])\d{1,2}[/.-]\d{4}') and {{ day_first }} <> {{ month_first }}
            then 'is ambiguous: ' || strftime({{ day_first }}, '%-d %B %Y') || ' or ' || strftime({{ month_first }}, '%-d %B %Y')
        when regexp_full_match({{ expression }}, '\d{1,2}[/.-]\d{1,2}[/.-]\d{2}') then 'has a year of two digits'
        when regexp_full_match({{ expression }}, '\d{1,10}')
            then 'is a number, which the API takes for a Unix timestamp and stores as '
                || strftime(make_timestamp({{ digits }} * 1000000), '%Y-%m-%d')
        when regexp_full_match({{ expression }}, '(\d{4}-\d{2}-\d{2})|(\d{1,2}[/.-]\d{1,2}[/.-]\d{4})') and {{ suggested_date(expression) }} is null
            then 'is not in the calendar'
        when regexp_full_match({{ expression }}, '\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?')
            then 'has no time zone, so the API takes it for UTC'
        when {{ suggested_date(expression) }} is not null then 'is a date in another form'
        else 'is not a date'
    end
{%- endmacro %}

{#- The accepted form of a date that is written in another form; null where it can be read in two ways or none. -#}
{% macro suggested_date(expression) -%}
    {%- set slashed = "translate(" ~ expression ~ ", '.-', '//')" -%}
    {%- set day_first = "try_strptime(" ~ slashed ~ ", '%d/%m/%Y')" -%}
    {%- set month_first = "try_strptime(" ~ slashed ~ ", '%m/%d/%Y')" -%}
    {%- set zoned = "regexp_replace(replace(replace(upper(" ~ expression ~ "), ' ', 'T'), 'UTC', 'Z'), '([+-]\\d{2})(\\d{2})$', '\\1:\\2')" -%}
    nullif(case
        when regexp_full_match({{ expression }}, '\d{1,2}[/.-]\d{1,2}[/.-]\d{4}')
            then case
                when coalesce({{ day_first }}, {{ month_first }}) = coalesce({{ month_first }}, {{ day_first }})
                    then strftime(coalesce({{ day_first }}, {{ month_first }}), '%Y-%m-%d')
            end
        when regexp_full_match({{ expression }}, '\d{8}')
            then strftime(try_strptime({{ expression }}, '%Y%m%d'), '%Y-%m-%d')
        when regexp_full_match({{ expression }}, '\d{4}[/.-]\d{1,2}[/.-]\d{1,2}')
            then strftime(try_strptime({{ slashed }}, '%Y/%m/%d'), '%Y-%m-%d')
        when regexp_full_match({{ expression }}, '\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{4}')
            then strftime(try_strptime(replace({{ expression }}, '-', ' '), ['%d %B %Y', '%d %b %Y']), '%Y-%m-%d')
        when regexp_full_match({{ expression }}, '[A-Za-z]{3,9} \d{1,2},? \d{4}')
            then strftime(try_strptime(replace({{ expression }}, ',', ''), ['%B %d %Y', '%b %d %Y']), '%Y-%m-%d')
        when {{ utc_date(zoned) }} is not null then {{ zoned }}
    end, {{ expression }})
{%- endmacro %}
