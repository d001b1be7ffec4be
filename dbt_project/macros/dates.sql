{#- The UTC date of `YYYY-MM-DD` or of an ISO date-time with a zone; null for any other text. `20260115` is null: the API
    would take it for a Unix timestamp and store 1970-08-23. A day is accepted when DuckDB writes it in the same way, which
    costs a tenth of a pattern. Seconds are left out for DuckDB, which reads no comma in them and not more than six digits
    behind them: the API reads both, and no zone has any, so they change no day. -#}
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
            '[1-9]\d{3}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d{1,9})?)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)'
        )
            then try_cast(try_cast(
                regexp_replace({{ expression }}, '(T\d{2}:\d{2})(:\d{2}[.,\d]*)?', '\1:00') as timestamptz
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

{#- The dates that are not accepted, taken apart, as CTEs that end with `ordered_dates`, whatever today is, with the columns:

      written               the cell
      plain                 it with plain hyphens and blanks, and without the name of a weekday
      day, time, half, zone its parts; half is am or pm
      worded                the day with blanks between its parts: `15 Jan 26`
      day_first, month_first  what three numbers with the year last say, in the one order and in the other
      day_by_day, day_by_month  the day that it is where the day stands first, and where the month does
      clock                 the time of the day on the 24-hour clock
      date_order, assume_zone  what --date-order and --assume-zone have said of the file

    `cells` is the relation that they are in, with its columns record_number, date_order and assume_zone. -#}
{% macro ordered_dates(expression, cells='staged') %}
    {% set clock = '\\d{1,2}(?::\\d{2}){1,2}(?:[.,]\\d+)?' %}
    {% set zone = 'Z|(?:UTC|GMT)?[+-]\\d{1,2}(?::?\\d{2})?|[A-Z]{3,5}' %}
    {% set time = '(?P<time>' ~ clock ~ ') ?(?P<half>[ap]\\.?m\\.?)? ?(?P<zone>' ~ zone ~ ')?' %}
    {% set parts = '(?is)^(?P<day>.+?)(?:(?:T|,? +(?:at +)?)' ~ time ~ ')?$' %}
    with plain_dates as (
        select
            record_number,
            date_order,
            assume_zone,
            {{ expression }} as written,
            {{ plain_date(expression) }} as plain,
            regexp_extract(plain, '{{ parts }}', ['day', 'time', 'half', 'zone']) as parts
        from {{ cells }}
        where {{ expression }} is not null and {{ utc_date(expression) }} is null
    ),

    parted_dates as (
        select
            record_number,
            date_order,
            assume_zone,
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
            try_strptime(year_last, '%m/%d/%Y')::date as month_first,
            {{ with_century(worded_date('parts.day')) }} as dated
        from plain_dates
    ),

    ordered_dates as (
        select
            *,
            {{ ordered_day('day') }} as day_by_day,
            {{ ordered_day('month') }} as day_by_month,
            {{ time_of_day() }} as clock
        from parted_dates
    )
{% endmacro %}

{#- These, as CTEs that end with `unread_dates`, and what they probably mean:

      read                  the day, where it can be read in one way; never one to come or one long ago
      order_of_others       day or month, where at least three other dates of the file show it and none the other order -#}
{% macro unread_dates(expression) %}
    {{ ordered_dates(expression) }},

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
            ordered_dates.*,
            orders.order_of_others,
            {{ read_date() }} as reading,
            case when reading between date '{{ earliest_year() }}-01-01' and {{ today_utc() }} then reading end as read
        from ordered_dates
        cross join orders
    )
{% endmacro %}

{#- A day of three parts that ends with its year, with blanks between them; the year with its century: one of two digits is
    of the hundred years that begin with the first year that is not warned of, whatever today is. Null for any other. -#}
{% macro with_century(worded) -%}
    {%- set first = earliest_year() | trim | int -%}
    case
        when regexp_full_match({{ worded }}, '(\d{1,2} (\d{1,2}|\pL+)|\pL+ \d{1,2}) \d{4}') then {{ worded }}
        when regexp_full_match({{ worded }}, '(\d{1,2} (\d{1,2}|\pL+)|\pL+ \d{1,2}) \d{2}')
            then left({{ worded }}, length({{ worded }}) - 2)
                || case when right({{ worded }}, 2) < '{{ '%02d' % (first % 100) }}' then '{{ first // 100 + 1 }}' else '{{ first // 100 }}' end
                || right({{ worded }}, 2)
    end
{%- endmacro %}

{#- The day of a row of `unread_dates` that is written in this order, `day` or `month`; null for one that is not. Where the month
    is named, both orders read it. -#}
{% macro ordered_day(order) -%}
    {%- set numbers = '%d %m %Y' if order == 'day' else '%m %d %Y' -%}
    try_strptime(dated, ['{{ numbers }}', '%d %B %Y', '%d %b %Y', '%B %d %Y', '%b %d %Y'])::date
{%- endmacro %}

{#- Holds for a row of `unread_dates` whose time is midnight, and in no zone: programs add that to a day. -#}
{% macro is_midnight() -%}
    (zone = '' and regexp_full_match(time || lower(left(half, 1)), '(0?0:00(:00([.,]0+)?)?)|(12:00(:00)?a)'))
{%- endmacro %}

{#- The cells of a date that are no accepted date, each text once, with how it is read: by --date-order and --assume-zone
    as they say, and an hour of one digit, which means nothing else, with the zero that the API asks for. -#}
{% macro dates_as_asked(field) %}
    {% set cells -%}
    (
        select distinct
            null::bigint as record_number,
            date_order,
            assume_zone,
            {{ clean_text(source_cell(field)) }} as cell
        from source_records
        where date_order is not null or assume_zone is not null or substring({{ source_cell(field) }}, 13, 1) = ':'
    ) as cells
    {%- endset %}
    {{ ordered_dates('cell', cells) }}
    select
        written,
        case
            when {{ utc_date('whole_hour') }} is not null then whole_hour
            when date_order is not null or assume_zone is not null then {{ date_as_asked() }}
        end as as_asked
    from (
        select
            *,
            case when named_zone is not null then moment at time zone named_zone end as instant,
            {{ zoned_date('day_as_asked') }} as zoned_as_asked
        from (
            select
                *,
                try_cast(day_as_asked || ' ' || clock as timestamp) as moment,
                case when not regexp_matches(assume_zone, '^[Z+-]') then assume_zone end as named_zone
            from (
                select
                    *,
                    regexp_full_match(day, '\d{4}-\d{2}-\d{2}') as is_iso_day,
                    case
                        when is_iso_day then try_cast(day as date)
                        when date_order = 'day' then day_by_day
                        when date_order = 'month' then day_by_month
                    end as day_as_asked,
                    left(written, 11) || '0' || substring(written, 12) as whole_hour
                from ordered_dates
            ) as asked
        ) as timed
    ) as zoned
{% endmacro %}

{#- A row of `unread_dates` as --date-order and --assume-zone read it, in ISO form; null where they do not. -#}
{% macro date_as_asked() -%}
    case
        when day_as_asked is null then null
        when time = '' and not is_iso_day or {{ is_midnight() }} then strftime(day_as_asked, '%Y-%m-%d')
        when zone <> '' and not is_iso_day
            then case when {{ utc_date('zoned_as_asked') }} is not null then zoned_as_asked end
        when zone = '' and time <> ''
            then strftime(day_as_asked, '%Y-%m-%d') || 'T' || clock
                || case when named_zone is null then assume_zone else {{ offset_of('moment', 'instant', 'named_zone') }} end
    end
{%- endmacro %}

{#- How far a zone is ahead of UTC at a time of its clocks, which is an instant: `+01:00`. Null for a time that these clocks
    leave out, and for one that they show twice. -#}
{% macro offset_of(moment, instant, zone) -%}
    {%- set minutes = "date_diff('minute', " ~ instant ~ " at time zone 'UTC', " ~ moment ~ ")" -%}
    case
        when {{ instant }} at time zone {{ zone }} = {{ moment }}
            and ({{ instant }} - interval 1 hour) at time zone {{ zone }} <> {{ moment }}
            and ({{ instant }} + interval 1 hour) at time zone {{ zone }} <> {{ moment }}
            then printf(
                '%s%02d:%02d', case when {{ minutes }} < 0 then '-' else '+' end, abs({{ minutes }}) // 60, abs({{ minutes }}) % 60
            )
    end
{%- endmacro %}

{#- The time of day of a row of `unread_dates` on the 24-hour clock; null where no clock shows it. -#}
{% macro time_of_day() -%}
    case
        when half = '' then {{ clock_time() }}
        when regexp_matches(time, '^(0?[1-9]|1[0-2]):')
            then printf(
                '%02d', try_cast(split_part(time, ':', 1) as integer) % 12 + case when lower(left(half, 1)) = 'p' then 12 else 0 end
            ) || substring({{ clock_time() }}, 3)
    end
{%- endmacro %}

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
    || coalesce(' (' || {{ date_flags() }} || ')', '')
{%- endmacro %}

{#- The flags that would read a row of `unread_dates`, and as which day; null where none does. -#}
{% macro date_flags() -%}
    {%- set needs_zone = "(assume_zone is null and zone = '' and time <> '' and clock is not null)" -%}
    case
        when date_order is not null and dated is not null
            then case when coalesce(day_by_day, day_by_month) is not null then '--date-order ' || date_order || ' does not read it' end
        when day_by_day <> day_by_month then '--date-order day or month reads it'
        when coalesce(day_by_day, day_by_month) <= {{ today_utc() }}
            then '--date-order ' || case when day_by_day is null then 'month' when day_by_month is null then 'day' else 'day or month' end
                || case when {{ needs_zone }} and not {{ is_midnight() }} then ' with --assume-zone' else '' end
                || ' reads it as ' || coalesce(day_by_day, day_by_month)
        when {{ needs_zone }} and regexp_full_match(day, '\d{4}-\d{2}-\d{2}') and try_cast(day as date) is not null
            then '--assume-zone reads it'
    end
{%- endmacro %}

{#- What the dates of a field are as a whole, one row: how many can be in one order only, how many in both, how many times have no
    zone; the flag that reads those days, null where there are none or no single order fits. -#}
{% macro judged_dates(field) %}
    {% set cells -%}
    (
        select
            record_number,
            date_order,
            assume_zone,
            {{ clean_text(source_cell(field)) }} as cell
        from source_records
        -- Cheap: a day with the year first has no order, and no time.
        where
            parse_error is null
            and (
                strlen({{ adapter.quote(field.source_column) }}) <> 10
                or instr({{ adapter.quote(field.source_column) }}, '-') <> 5
            )
    ) as cells
    {%- endset %}
    {{ ordered_dates('cell', cells) }}
    select
        {{ sql_literal(field.field) }} as field,
        {{ sql_literal(field.source_column) }} as source_column,
        count(*) filter (where first_day is not null and first_month is null) as day_first_only,
        count(*) filter (where first_month is not null and first_day is null) as month_first_only,
        count(*) filter (where first_day is not null and first_month is not null) as either_order,
        count(*) filter (where has_no_zone) as without_zone,
        case
            when day_first_only > 0 and month_first_only > 0 then null
            when day_first_only > 0 then '--date-order day'
            when month_first_only > 0 then '--date-order month'
            when either_order > 0 then '--date-order day or --date-order month'
        end as order_flag
    from (
        select
            day_by_day as first_day,
            day_by_month as first_month,
            zone = '' and clock is not null and not {{ is_midnight() }} as has_no_zone
        from ordered_dates
    ) as ordered
{% endmacro %}

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
        when zone = '' and assume_zone is not null then 'has a time that ' || assume_zone || ' has twice, or not at all'
        when zone = '' then 'has no time zone, so the API takes it for UTC'
        when not regexp_full_match(zone, 'Z|UTC|GMT|(UTC|GMT)?[+-]\d{1,2}(:?\d{2})?') then 'has a time zone by its name'
        when not regexp_full_match(zone, '[A-Z]*|[A-Z]*[+-]([01]?\d|2[0-3])(:?[0-5]\d)?')
            then 'has a time zone that there is none of'
        when regexp_matches(time, '^\d:') then 'has an hour of one digit'
        when regexp_matches(time, '[.,]\d{10}') then 'has more than nine digits behind its seconds'
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
        when {{ is_midnight() }} then strftime(read, '%Y-%m-%d')
        when half = '' and {{ utc_date('zoned') }} <= {{ today_utc() }} then zoned
    end
{%- endmacro %}

{#- A row of `unread_dates` as an ISO date-time, where it has a zone. -#}
{% macro zoned_date(day='read') -%}
    strftime({{ day }}, '%Y-%m-%d') || 'T' || {{ clock_time() }} || case
        when zone in ('Z', 'UTC', 'GMT') then 'Z'
        when regexp_full_match(zone, '(UTC|GMT)?[+-]\d{1,2}(:?\d{2})?')
            then regexp_extract(zone, '[+-]')
                || lpad(regexp_extract(zone, '[+-](\d{1,2}?)(:?\d{2})?$', 1), 2, '0')
                || ':' || coalesce(nullif(regexp_extract(zone, '[+-]\d{1,2}?:?(\d{2})$', 1), ''), '00')
    end
{%- endmacro %}
