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

{#- The dates that are not accepted, taken apart, as CTEs that end with `unread_dates`, with the columns:

      written               the cell
      plain                 it with plain hyphens and blanks, and without the name of a weekday
      day, time, half, zone its parts; half is am or pm
      worded                the day with blanks between its parts: `15 Jan 26`
      day_first, month_first  what three numbers with the year last say, in the one order and in the other
      read                  the day, where it can be read in one way; never one to come or one long ago
      order_of_others       day or month, where at least three other dates of the file show it and none the other order -#}
{% macro unread_dates(expression) %}
    {% set clock = '\\d{1,2}(?::\\d{2}){1,2}(?:[.,]\\d+)?' %}
    {% set zone = 'Z|(?:UTC|GMT)?[+-]\\d{1,2}(?::?\\d{2})?|[A-Z]{3,5}' %}
    {% set time = '(?P<time>' ~ clock ~ ') ?(?P<half>[ap]\\.?m\\.?)? ?(?P<zone>' ~ zone ~ ')?' %}
    {% set parts = '(?is)^(?P<day>.+?)(?:(?:T|,? +(?:at +)?)' ~ time ~ ')?$' %}
    with plain_dates as (
        select
            record_number,
            {{ expression }} as written,
            {{ plain_date(expression) }} as plain,
            regexp_extract(plain, '{{ parts }}', ['day', 'time', 'half', 'zone']) as parts
        from staged
        where {{ expression }} is not null and {{ utc_date(expression) }} is null
    ),

    parted_dates as (
        select
            record_number,
            written,
            plain,
            parts.day as day,
            parts.time as time,
            parts.half as half,
            upper(parts.zone) as zone,
            {{ worded_date('parts.day') }} as worded,
            case
                when regexp_full_match(parts.day, '\d{1,2}([/.-])\d{1,2}[/.-]\d{4}') then translate(parts.day, '.-', '//')
            end as year_last,
            try_strptime(year_last, '%d/%m/%Y')::date as day_first,
            try_strptime(year_last, '%m/%d/%Y')::date as month_first
        from plain_dates
    ),

    orders as (
        select
            case
                when days >= 3 and months = 0 then 'day'
                when months >= 3 and days = 0 then 'month'
            end as order_of_others
        from (
            select
                count(*) filter (where day_first is not null and month_first is null) as days,
                count(*) filter (where month_first is not null and day_first is null) as months
            from parted_dates
        ) as counted
    ),

    unread_dates as (
        select
            parted_dates.*,
            orders.order_of_others,
            {{ read_date() }} as reading,
            case when reading between date '{{ earliest_year() }}-01-01' and {{ today_utc() }} then reading end as read
        from parted_dates
        cross join orders
    )
{% endmacro %}

{#- A text with a plain hyphen for each other dash, plain blanks, and no name of a weekday; a date that is written around its
    time (`Thu Jan 15 09:30:00 2026`) with the time last. -#}
{% macro plain_date(expression) -%}
    regexp_replace(
        regexp_replace(
            regexp_replace({{ plain_hyphens(expression) }}, '[\s\pZ]+', ' ', 'g'),
            '^(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? +', ''
        ),
        '^(\pL{3} \d{1,2}) (\d{2}:\d{2}:\d{2})((?: [A-Z]{3,4})?) (\d{4})$', '\1 \4 \2\3'
    )
{%- endmacro %}

{% macro plain_hyphens(expression) -%}
    translate({{ expression }}, '‐‑‒–—―−﹘﹣－', '----------')
{%- endmacro %}

{#- A day with one blank between its numbers and its words, without the ending of `15th`: `15 Jan 26`. -#}
{% macro worded_date(expression) -%}
    {%- set plain = "regexp_replace(" ~ expression ~ ", '(?i)(\\d)(?:st|nd|rd|th)\\b|(\\bsep)t\\b', '\\1\\2', 'g')" -%}
    trim(regexp_replace(
        regexp_replace({{ plain }}, '(\d)(\pL)|(\pL)(\d)', '\1\3 \2\4', 'g'), '[ .,/-]+', ' ', 'g'
    ))
{%- endmacro %}

{#- The day that a date can be read as; null where it can be read in two ways or none. A spreadsheet counts days from 1900 or,
    on some Macs, from 1904, and then the same number is a day 1,462 days later: only where that is to come is it certain.
    `31-Jan-26` cannot be of the year 31; `15-Jan-26` can be the 26th. -#}
{% macro read_date() -%}
    case
        when year_last is not null
            then case
                when day_first is null or month_first is null or day_first = month_first then coalesce(day_first, month_first)
                when order_of_others = 'day' then day_first
                when order_of_others = 'month' then month_first
            end
        when regexp_full_match(day, '\d{4}[/.-]\d{1,2}[/.-]\d{1,2}') then try_strptime(translate(day, '.-', '//'), '%Y/%m/%d')
        when regexp_full_match(day, '\d{8}') then try_strptime(day, '%Y%m%d')
        when regexp_full_match(day, '[2-7]\d{4}(\.0+)?') and {{ spreadsheet_day() }} + 1462 > {{ today_utc() }}
            then {{ spreadsheet_day() }}
        when {{ has_english_month() }} and regexp_full_match(worded, '.* \d{4}|\d{4} .*')
            then try_strptime(worded, ['%d %B %Y', '%d %b %Y', '%B %d %Y', '%b %d %Y', '%Y %B %d', '%Y %b %d'])
        when {{ has_english_month() }} and regexp_full_match(worded, '\d{1,2} \pL+ \d{2}')
            then case
                when strlen(split_part(worded, ' ', 1)) = 1
                    or try_cast(split_part(worded, ' ', 1) as integer) > year({{ today_utc() }}) % 100
                    then try_strptime(worded, ['%d %B %y', '%d %b %y'])
            end
    end::date
{%- endmacro %}

{% macro spreadsheet_day() -%}
    (date '1899-12-30' + try_cast(regexp_extract(day, '^\d+') as integer))
{%- endmacro %}

{% macro has_english_month() -%}
    regexp_matches(
        worded,
        '(?i)^(\d+ )?(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|'
        || 'aug(ust)?|sep(tember)?|oct(ober)?|nov(ember)?|dec(ember)?)( \d+)*$'
    )
{%- endmacro %}

{#- The end of a message that says why a text is no accepted date, of a row of `unread_dates`. -#}
{% macro date_complaint() -%}
    concat_ws(' and ', {{ hyphen_complaint() }}, {{ day_complaint() }}, {{ time_complaint() }})
{%- endmacro %}

{% macro hyphen_complaint() -%}
    case
        when {{ plain_hyphens('written') }} <> written and plain <> '-'
            then printf('has U+%04X in place of a hyphen', unicode(regexp_extract(written, '[‐‑‒–—―−﹘﹣－]')))
    end
{%- endmacro %}

{#- What is wrong with the day; null where that is written YYYY-MM-DD. -#}
{% macro day_complaint() -%}
    {%- set shown_both = "strftime(day_first, '%-d %B %Y') || ' or ' || strftime(month_first, '%-d %B %Y')" -%}
    {%- set stored = "strftime(make_timestamp(try_cast(plain as bigint) * 1000000), '%Y-%m-%d')" -%}
    case
        when regexp_full_match(day, '\d{4}-\d{2}-\d{2}')
            then case
                when try_cast(day as date) is null then 'is not in the calendar'
                when day < '1000' then 'has a year before 1000'
            end
        when day_first <> month_first
            then 'is ambiguous: ' || {{ shown_both }}
                || coalesce('; the other dates of the file have the ' || order_of_others || ' first', '')
        when year_last is not null
            then case
                when coalesce(day_first, month_first) is null then 'is not in the calendar'
                when day_first = month_first then 'has the year last'
                when day_first is not null then 'has the day first'
                else 'has the month first'
            end
        when regexp_full_match(day, '\d{4}[/.-]\d{1,2}[/.-]\d{1,2}')
            then case
                when reading is null then 'is not in the calendar'
                when contains(day, '/') then 'has slashes in place of hyphens'
                when contains(day, '.') then 'has dots in place of hyphens'
                else 'has a month or a day of one digit'
            end
        when regexp_full_match(day, '\d{1,2}[/.-]\d{1,2}[/.-]\d{2}') then 'has a year of two digits'
        when regexp_full_match(plain, '\d{8}') and reading is not null
            then 'has no hyphens, so the API takes it for a Unix timestamp and stores ' || {{ stored }}
        when regexp_full_match(plain, '[2-7]\d{4}([.,]\d+)?')
            then 'is the number of a day in a spreadsheet: ' || {{ spreadsheet_day() }}
                || case
                    when {{ spreadsheet_day() }} + 1462 > {{ today_utc() }} then ''
                    else ', or ' || {{ spreadsheet_day() }} + 1462 || ' in one that counts from 1904'
                end
        when regexp_full_match(plain, '\d{9,10}|\d{13}') and {{ unix_time() }} is not null
            then 'is a Unix time, of ' || {{ unix_time() }}
        when regexp_full_match(plain, '(19|20)\d{10}(\d{2})?') and try_strptime(left(plain, 8), '%Y%m%d') is not null
            then 'is a date-time without hyphens, colons and a time zone'
        when regexp_full_match(plain, '(19|20)\d{2}') then 'is a year alone'
        when regexp_full_match(plain, '\d{1,10}')
            then 'is a number, which the API takes for a Unix timestamp and stores as ' || {{ stored }}
        when regexp_full_match(plain, '[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?') then 'is a number'
        when {{ has_english_month() }}
            then case
                when regexp_full_match(worded, '\pL+ \d{4}|\d{4} \pL+') then 'has no day'
                when regexp_full_match(worded, '\pL+ \d+|\d+ \pL+') then 'has the name of a month, and no year or no day'
                when regexp_full_match(worded, '.* \d{4}|\d{4} .*') and reading is null then 'is not in the calendar'
                when regexp_full_match(worded, '.* \d{4}|\d{4} .*') then 'has the name of a month'
                else 'has the name of a month and a year of two digits'
            end
        when regexp_full_match(worded, '\d{1,2} \pL{3,10} \d{2}(\d{2})?|\pL{3,10} \d{1,2} \d{4}')
            then 'has a word in place of the number of the month'
        when regexp_full_match(day, '\d{4}[/.-](0?\d|1[0-2])|(0?\d|1[0-2])[/.-]\d{4}') then 'has no day'
        when regexp_full_match(day, '\d{1,2}[/.-]\d{1,2}[/.-]?') then 'has no year'
        when regexp_full_match(day, '(?i)\d{4}-?W\d{2}(-?\d)?') then 'is a date by the week of the year'
        when regexp_full_match(day, '\d{4}-\d{3}') then 'is a date by the day of the year'
        when regexp_full_match(worded, '(?i)Q ?[1-4] \d{4}|\d{4} Q ?[1-4]') then 'is a quarter of a year'
        when regexp_full_match(plain, '\d{1,2}:\d{2}.*') then 'is a time without a day'
        when regexp_full_match(plain, '#+') then 'is what a spreadsheet shows of a column that is too narrow'
        when regexp_full_match(plain, '{{ error_texts() }}') then 'is the error of a formula'
        when regexp_full_match(plain, '{{ placeholders() }}') then 'says that there is none'
        else 'is not a date'
    end
{%- endmacro %}

{#- What is wrong with the time; null where there is none, or nothing. -#}
{% macro time_complaint() -%}
    case
        when time = '' then null
        when {{ clock_time() }} is null or half <> '' and not regexp_matches(time, '^(0?[1-9]|1[0-2]):')
            then 'has a time that no clock shows'
        when half <> ''
            then 'has a time of the 12-hour clock' || case when zone = '' then ' without a time zone' else '' end
        when zone = '' then 'has no time zone, so the API takes it for UTC'
        when not regexp_full_match(zone, 'Z|UTC|GMT|(UTC|GMT)?[+-]\d{1,2}(:?\d{2})?') then 'has a time zone by its name'
        when not regexp_full_match(zone, '[A-Z]*|[A-Z]*[+-]([01]?\d|2[0-3])(:?[0-5]\d)?')
            then 'has a time zone that there is none of'
        when regexp_matches(time, '^\d:') then 'has an hour of one digit'
        when contains(time, ',') then 'has a comma in its seconds'
        when regexp_matches(time, '\.\d{7}') then 'has more than six digits behind its seconds'
        when regexp_matches(plain, '[t ]\d{1,2}:') then 'has no capital T before its time'
        when not regexp_matches(plain, '(Z|[+-]\d{2}:\d{2})$') then 'has a time zone in another form than Z or +01:00'
    end
{%- endmacro %}

{#- The time of day of a row of `unread_dates`, with seconds and at most six digits behind them; null where no clock shows it. -#}
{% macro clock_time() -%}
    case
        when regexp_full_match(time, '([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?')
            then regexp_extract(
                lpad(split_part(time, ':', 1), 2, '0') || ':' || split_part(time, ':', 2) || ':'
                || replace(coalesce(nullif(split_part(time, ':', 3), ''), '00'), ',', '.'),
                '^.{8}(\.\d{1,6})?'
            )
    end
{%- endmacro %}

{#- The moment of a Unix time in seconds or milliseconds; null where it is to come or long ago, so that it can hardly be one. -#}
{% macro unix_time() -%}
    {%- set seconds = "case strlen(plain) when 13 then try_cast(plain as bigint) // 1000 else try_cast(plain as bigint) end" -%}
    case
        when make_timestamp({{ seconds }} * 1000000)::date between date '{{ earliest_year() }}-01-01' and {{ today_utc() }}
            then strftime(make_timestamp({{ seconds }} * 1000000), '%Y-%m-%dT%H:%M:%SZ')
    end
{%- endmacro %}

{#- The accepted form of a row of `unread_dates`, where that is certain. A time without a zone is not: it is another day
    somewhere. Midnight without a zone is what programs add to a day. -#}
{% macro suggested_date() -%}
    case
        when time = '' and regexp_full_match(plain, '\d{9,10}|\d{13}') then {{ unix_time() }}
        when time = '' then strftime(read, '%Y-%m-%d')
        when zone = '' and regexp_full_match(time || lower(left(half, 1)), '(0?0:00(:00([.,]0+)?)?)|(12:00(:00)?a)')
            then strftime(read, '%Y-%m-%d')
        when half = '' and {{ utc_date('zoned') }} <= {{ today_utc() }} then zoned
    end
{%- endmacro %}

{#- A row of `unread_dates` as an ISO date-time, where it has a zone. -#}
{% macro zoned_date() -%}
    strftime(read, '%Y-%m-%d') || 'T' || {{ clock_time() }} || case
        when zone in ('Z', 'UTC', 'GMT') then 'Z'
        when regexp_full_match(zone, '(UTC|GMT)?[+-]\d{1,2}(:?\d{2})?')
            then regexp_extract(zone, '[+-]')
                || lpad(regexp_extract(zone, '[+-](\d{1,2}?)(:?\d{2})?$', 1), 2, '0')
                || ':' || coalesce(nullif(regexp_extract(zone, '[+-]\d{1,2}?:?(\d{2})$', 1), ''), '00')
    end
{%- endmacro %}
