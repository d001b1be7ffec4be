{#- Why a text is not a date that is accepted, as a message ends: for `03/04/2026`, that it is ambiguous. -#}
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
