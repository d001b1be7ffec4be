{#- The accepted form of a date that is written otherwise and can be read in one way only; null where it cannot. -#}
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
