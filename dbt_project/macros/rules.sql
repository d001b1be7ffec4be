{#- The rules of validation. Each is one macro, `rule_<code>`: a select of the records that break it, with these columns:

      code        the rule's name; issue_codes has its severity and its words
      field       the field, and `source_column`, its column in the file; left out where the whole record is meant
      value       the value, for the message
      counted     what the rule counted, and `allowed`, the limit that it is compared with
      detail      more words for the message
      suggestion  what to write in the cell, where that is plain

    A column that a rule leaves out is null. Rules read the CTEs of the issues model: `staged`; `source_records`, the cells
    as they are in the file; `duplicates`; `unmapped_values`.
    A new rule needs a macro here, its name in `broken_rules`, a line in issue_codes.csv and in RUNBOOK.md, and a file that
    breaks it in tests/fixtures/csv. -#}

{#- The rules of an entity, and which fields each is for. -#}
{% macro broken_rules(fields) %}
    {{ no_issue() }}
    {{ rule_duplicate_reference() }}
    {{ rule_cut_off() }}
    {{ rule_swallowed_record(fields) }}
    {{ rule_line_like_a_record(fields) }}
    {% for field in fields %}
        {% set is_text = not (field.is_key or field.is_enum or field.format) %}
        {{ rule_required(field) if field.is_required }}
        {{ rule_too_long(field) if field.max_length }}
        {{ rule_too_short(field) if field.min_length }}
        {{ rule_truncated(field) if field.on_too_long == 'truncate' }}
        {{ rule_unknown_enum(field) if field.is_enum }}
        {% if field.is_key %}
            {{ rule_reserved_reference(field) if field.reserved }}
            {{ rule_damaged_reference(field) }}
            {{ rule_lost_leading_zeros(field) }}
            {{ rule_unprintable_reference(field) }}
            {{ rule_near_duplicate_reference(field) }}
            {{ rule_conflicting_duplicate(field) }}
            {{ rule_changed_reference(field) }}
        {% endif %}
        {% if field.format == 'date' %}
            {{ rule_invalid_date(field) }}
            {{ rule_date_in_future(field) if not field.allows_future }}
            {{ rule_date_long_ago(field) }}
        {% endif %}
        {{ rule_wrong_form(field) if field.pattern }}
        {{ rule_in_capitals(field) if field.no_capitals }}
        {{ rule_error_text(field) if is_text and field.is_required }}
        {{ rule_placeholder_text(field) if (is_text or field.is_key) and field.is_required }}
        {{ rule_mojibake(field) if is_text }}
        {% if is_text %}
            {{ rule_contains_html(field) if field.is_sanitised }}
            {{ rule_control_characters(field) }}
            {{ rule_replacement_character(field) }}
        {% endif %}
    {% endfor %}
{% endmacro %}

{#- The rules that make every other finding about a record noise. -#}
{% macro sole_rules(fields) %}
    {{ no_issue() }}
    {{ rule_repeated_header(fields) }}
    {{ rule_blank_record(fields) }}
    {{ rule_not_a_record(fields) }}
{% endmacro %}

{#- What a rule says, with the types, and no row; each rule is added to it by name. -#}
{% macro no_issue() %}
    select
        null::bigint as record_number,
        null::varchar as code,
        null::varchar as field,
        null::varchar as source_column,
        null::varchar as value,
        null::bigint as counted,
        null::bigint as allowed,
        null::varchar as detail,
        null::varchar as suggestion
    where false
{% endmacro %}

{% macro rule_repeated_header(fields) %}
    union all by name
    select
        record_number,
        'repeated_header' as code
    from ({{ repeated_headers(fields) }}) as repeated
{% endmacro %}

{#- The records that are the header again, by our names of the columns or by those of the file. -#}
{% macro repeated_headers(fields) %}
    {%- set same = [] -%}
    {%- for field in fields if field.is_required -%}
        {%- set column = sql_literal(field.source_column) -%}
        {%- do same.append('staged.' ~ field.field ~ ' = coalesce(renamed.names ->> ' ~ column ~ ', ' ~ column ~ ')') -%}
    {%- endfor -%}
    select record_number from staged where {{ repeats_header(fields) }}
    union all
    select staged.record_number
    from staged
    inner join renamed on renamed.names is not null and {{ same | join(' and ') or 'false' }}
{%- endmacro %}

{#- All cells are looked at as they are in the file, because a blank cell of an enum is staged as its default. -#}
{% macro rule_blank_record(fields) %}
    union all by name
    select
        record_number,
        'blank_record' as code
    from source_records
    where
        parse_error is null
        {% for field in fields %}
        and {{ clean_text('source_records.' ~ adapter.quote(field.source_column)) }} is null
        {% endfor %}
        and {{ clean_text("array_to_string(source_records.other_cells, '')") }} is null
{% endmacro %}

{#- A line with a cell for each column that is no record all the same: a total, a note, a title between the records, the units
    below the header, the header of another table. Looked at is what has no date where one is required, or lacks another
    required cell. -#}
{% macro rule_not_a_record(fields) %}
    {% set key = key_field(fields) %}
    {% set dates, blank, required = [], [], ['null'] %}
    {% for field in fields if field.is_required %}
        {% set cell = 'source_records.' ~ adapter.quote(field.source_column) %}
        {% do required.append(clean_text(cell)) if not field.is_key %}
        {% if field.format == 'date' %}
            {% do dates.append(cell) %}
            {% do blank.append("coalesce(unicode(" ~ cell ~ ") not between 48 and 57, true)") %}
        {% elif not field.is_key %}
            {% do blank.append("coalesce(" ~ cell ~ ", '') = ''") %}
        {% endif %}
    {% endfor %}
    {% set date = dates | first | default("null::varchar") %}
    {% set cells = [] %}
    {% for field in fields %}{% do cells.append('source_records.' ~ adapter.quote(field.source_column)) %}{% endfor %}
    union all by name
    select
        record_number,
        'not_a_record' as code,
        array_to_string(texts, ' ') as value,
        kind as detail
    from (
        select
            record_number,
            texts,
            coalesce({{ line_by_its_words('texts', 'cell_count') }}, case
                when record_number = 1 and regexp_full_match(
                    date_text, '(?i)[(\[<]?(date|datetime|timestamp|text|string|varchar|[dmyhs]{1,4}([-/. :T][dmyhs]{1,4})+)[)\]>]?'
                ) then 'the units or formats of the columns'
                when len(texts) = 1 and required_text is null and (
                    key_text is null or not regexp_matches(key_text, '\d') or regexp_matches(key_text, '\s|:$')
                ) then {{ lone_line('last_record') }}
                when len(texts) >= 3
                    and {{ is_header_line('texts') }}
                    and len(list_filter(texts, lambda text: {{ names_a_column('text') }})) * 2 >= len(texts)
                    then 'the header of another table'
            end) as kind
        from (
            select
                record_number,
                cell_count,
                {{ clean_text('source_records.' ~ adapter.quote(key.source_column)) if key.source_column else 'null' }} as key_text,
                coalesce({{ required | join(', ') }}) as required_text,
                {{ date }} as date_text,
                list_filter(
                    list_transform(
                        list_concat([{{ cells | join(', ') }}]::varchar[], source_records.other_cells),
                        lambda cell: {{ clean_text('cell') }}
                    ),
                    lambda text: text is not null
                ) as texts
            from source_records
            where parse_error is null and ({{ blank | join(' or ') or 'false' }})
        ) as suspects
        cross join (
            select max(record_number) as last_record
            from source_records
            where parse_error is null and not ({{ blank | join(' or ') or 'false' }})
        ) as last_one
    ) as lines
    where
        kind is not null
        and record_number not in ({{ repeated_headers(fields) }})
{% endmacro %}

{#- What a line is by the words with which it begins, where few of its cells are filled; null for any other. -#}
{% macro line_by_its_words(texts, cell_count) -%}
    case
        when len({{ texts }}) > 0 and regexp_full_match(array_to_string({{ texts }}, ''), '[-=_*+#.~|]{3,}') then 'a rule between lines'
        when len({{ texts }}) = 0 or len({{ texts }}) * 2 > greatest({{ cell_count }}, 4) and len({{ texts }}) > 2 then null
        when regexp_matches({{ texts }}[1], '(?i)^\W*((grand |sub-?|running )?totals?|sum|count|(record|row) ?count|(number|no\.?) of \w+|\d+ (rows?|records?))\b')
            and not regexp_full_match({{ texts }}[1], '\w+-\w+')
            then 'a footer with a total'
        when regexp_matches(
            {{ texts }}[1],
            '(?i)^\W*((exported|generated|printed|created|downloaded|extracted|produced|prepared|run|data) (by|on|at|from|as of)\b|(exported|generated|printed|source|filters?|filtered by|report|criteria) ?:|page \d+|end of |as of \d|last updated|confidential)'
        ) then 'a note, such as a footer'
    end
{%- endmacro %}

{#- What a line with a single text is, by whether a record follows. -#}
{% macro lone_line(last_record) -%}
    case when record_number > coalesce({{ last_record }}, 0) then 'a footer' else 'a title or the header of a group' end
{%- endmacro %}

{#- Holds for texts as a header has them: short, none twice, no digit in any. -#}
{% macro is_header_line(texts) -%}
    (
        len(list_distinct({{ texts }})) = len({{ texts }})
        and len(list_filter({{ texts }}, lambda text: length(text) > 40 or regexp_matches(text, '\d'))) = 0
    )
{%- endmacro %}

{#- Holds for a text with a word that names columns. -#}
{% macro names_a_column(text) -%}
    regexp_matches(
        {{ text }},
        '(?i)(\b|_)(no|nr|id|ref|reference|number|date|time|title|name|type|status|state|description|severity|priority|location'
        || '|site|category|department|owner|count|qty|quantity|total|amount|value)(\b|_)'
    )
{%- endmacro %}

{#- The malformed lines that are no damaged records, with what they are, as a select: a note or a title that was written beside
    the records, and the lines of another table, which all have one number of cells and begin with a header. -#}
{% macro lines_of_no_record() -%}
    select
        record_number,
        coalesce({{ line_by_its_words('texts', 'width') }}, case
            when begins_table and (run_lines > 1 or named_columns * 2 >= len(texts)) then 'the header of another table'
            when run_begins_table and run_lines > 1 then 'part of another table, whose header is on line ' || run_line
            when len(texts) = 1 and not is_beside_fragment and not regexp_full_match(texts[1], '\S*\d\S*')
                then {{ lone_line('last_record') }}
        end) as kind
    from (
        select
            *,
            coalesce(lag(record_number) over near = record_number - 1 and lag(is_fragment) over near, false)
            or coalesce(lead(record_number) over near = record_number + 1 and lead(is_fragment) over near, false) as is_beside_fragment
        from (
        select
            *,
            count(*) over run as run_lines,
            first_value(begins_table) over run as run_begins_table,
            first_value(line_number) over run as run_line,
            len(texts) > 1 and not (run_begins_table and run_lines > 1) as is_fragment
        from (
            select
                *,
                record_number - row_number() over (partition by cell_count order by record_number) as run_number,
                cell_count > 1 and len(texts) = cell_count and {{ is_header_line('texts') }} as begins_table,
                len(list_filter(texts, lambda text: {{ names_a_column('text') }})) as named_columns
            from (
                select
                    record_number,
                    line_number,
                    cell_count,
                    json_array_length(source_columns)::bigint as width,
                    list_filter(
                        list_transform(string_split(raw_record, delimiter), lambda cell: {{ clean_text("trim(cell, '\"')") }}),
                        lambda text: text is not null
                    ) as texts
                from source_records
                where parse_error in ('too_few_columns', 'too_many_columns') and not contains(raw_record, chr(10))
            ) as split_lines
        ) as numbered
        window
            run as (
                partition by cell_count, run_number order by record_number
                rows between unbounded preceding and unbounded following
            )
        ) as runs
        window near as (order by record_number)
    ) as lines
    cross join (select max(record_number) as last_record from source_records where parse_error is null) as last_one
{%- endmacro %}

{#- The last line has no line end, as when a file is not written to its end: its last cell may go on. -#}
{% macro rule_cut_off() %}
    union all by name
    select
        record_number,
        'cut_off' as code
    from source_records
    where is_cut and record_number = source_records.source_records and parse_error is null
{% endmacro %}

{#- Two stray quotes that pair up make one record of several, and each of their lines has as many delimiters as the header. An
    error where a line begins with what has the form of a reference, as those of the first thousand records. -#}
{% macro rule_swallowed_record(fields) %}
    union all by name
    select
        record_number,
        'swallowed_record' as code,
        field,
        source_column,
        swallowed as value
    {{ lines_like_records(fields) }}
    where swallowed is not null
{% endmacro %}

{% macro rule_line_like_a_record(fields) %}
    union all by name
    select
        record_number,
        'line_like_a_record' as code,
        field,
        source_column,
        like_records[1] as value
    {{ lines_like_records(fields) }}
    where swallowed is null
{% endmacro %}

{#- The cells in which a line looks like a record, from `from` on: `like_records`, and the first of them with a reference, `swallowed`.
    A delimiter that a blank follows separates no cells: it is a comma of a sentence. -#}
{% macro lines_like_records(fields) %}
    {% set names = "from_json(source_columns, '[\"VARCHAR\"]')" %}
    {% set key = key_field(fields) %}
    {% set known = [] %}
    {% for field in fields %}{% do known.append(column_in_file(field)) %}{% endfor %}
    {% set signs = "(length({0}) - length(replace({0}, delimiter, '')))" %}
    {% set form = "regexp_replace(regexp_replace({}, '[0-9]+', '9', 'g'), '\\pL+', 'A', 'g')" %}
    from (
        select
            *,
            list_filter(
                like_records,
                lambda line: list_contains(
                    reference_forms.forms, {{ form.format("trim(split_part(line, delimiter, key_place::integer + 1), '\" ')") }}
                )
            )[1] as swallowed
        from (
            select
                *,
                list_position({{ names }}, {{ column_in_file(key) }}) - 1 as key_place,
                case
                    when {{ signs.format('lines[1]') }} between cell_count - 1 - place and cell_count + 1 - place
                        and {{ signs.format('lines[-1]') }} between place and place + 2
                        then list_append(
                            list_filter(lines[2:-2], lambda line: {{ signs.format('line') }} between cell_count - 1 and cell_count + 1),
                            lines[-1]
                        )
                    else list_filter(lines[2:-2], lambda line: {{ signs.format('line') }} between cell_count - 1 and cell_count + 1)
                end as like_records
            from (
                select
                    * exclude (cell),
                    list_position({{ names }}, column_name) - 1 as place,
                    string_split(replace(replace(cell, delimiter || ' ', ' '), chr(13), ''), chr(10)) as lines
                from (
                    {% for field in fields if not field.is_key and not field.is_enum and not field.format %}
                    {% set cell = 'source_records.' ~ adapter.quote(field.source_column) %}
                    select
                        record_number, source_columns, renamed_columns, delimiter, cell_count, {{ named(field) }},
                        {{ column_in_file(field) }} as column_name, {{ cell }} as cell
                    from source_records
                    where contains({{ cell }}, chr(10)) and {{ signs.format(cell) }} >= greatest(cell_count - 1, 3)
                    union all
                    {% endfor %}
                    select
                        record_number, source_columns, renamed_columns, delimiter, cell_count, null as field, column_name as source_column,
                        column_name, cell
                    from (
                        select
                            record_number, source_columns, renamed_columns, delimiter, cell_count,
                            unnest(list_sort(list_filter({{ names }}, lambda name: name not in ({{ known | join(', ') or "''" }})))) as column_name,
                            unnest(other_cells) as cell
                        from source_records
                        where parse_error is null and len(other_cells) > 0 and contains(array_to_string(other_cells, ''), chr(10))
                    ) as others
                    where contains(cell, chr(10)) and {{ signs.format('cell') }} >= greatest(cell_count - 1, 3)
                ) as cells
            ) as split_cells
        ) as compared
        cross join (
            select coalesce(list(distinct {{ form.format('staged.' ~ key.field) }}), []) as forms from staged
            where record_number <= 1000
        ) as reference_forms
        where len(like_records) > 0
    ) as found
{% endmacro %}

{#- What the file calls the column of a field, of a row of `source_records`. -#}
{% macro column_in_file(field) -%}
    {%- set column = sql_literal(field.source_column) -%}
    coalesce(renamed_columns ->> {{ column }}, {{ column }})
{%- endmacro %}

{#- Its first record counts. -#}
{% macro rule_duplicate_reference() %}
    union all by name
    select
        record_number,
        'duplicate_reference' as code,
        duplicates.first_line_number as counted
    from staged
    inner join duplicates using (record_number)
    where duplicates.first_line_number < staged.line_number and duplicates.distinct_records = 1
{% endmacro %}

{#- Blank, or a text of which the platform, which drops HTML tags and strips some fields, would keep nothing: it begins
    with a tag or a blank. -#}
{% macro rule_required(field) %}
    {% set value = 'staged.' ~ field.field %}
    {% set kept = clean_text("regexp_replace(" ~ value ~ ", '<[A-Za-z/!?][^>]*>?', '', 'g')") %}
    union all by name
    select
        record_number,
        'required' as code,
        {{ named(field) }},
        coalesce({{ value }}, '') as value
        {%- if field.is_sanitised %},
        ': the platform keeps nothing of ''' || nullif({{ excerpt(value) }}, '') || '''' as detail
        {%- endif %}
    from staged
    where
        {{ value }} is null
        {%- if field.is_sanitised %}
        or case
            when unicode({{ value }}) < 33 or unicode({{ value }}) in (unicode('<'), 133)
                then {{ without_end_blanks(kept) if field.is_stripped else kept }} is null
        end
        {%- endif %}
{% endmacro %}

{#- Too long and not to be shortened, or its first grapheme alone is. -#}
{% macro rule_too_long(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'too_long' as code,
        {{ named(field) }},
        {{ value }} as value,
        {{ counted_length(value, field.counts) }} as counted,
        {{ field.max_length }} as allowed
    from staged
    where {{ exceeds(value, field) }}
{% endmacro %}

{#- A blank cell is none too short: it is not sent, or is `required`. -#}
{% macro rule_too_short(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'too_short' as code,
        {{ named(field) }},
        {{ value }} as value,
        {{ counted_length(value, field.counts) }} as counted,
        {{ field.min_length }} as allowed
    from staged
    where {{ counted_length(value, field.counts) }} < {{ field.min_length }}
{% endmacro %}

{#- Staging has shortened it. -#}
{% macro rule_truncated(field) %}
    union all by name
    select
        record_number,
        'truncated' as code,
        {{ named(field) }},
        whole as value,
        {{ counted_length('whole', field.counts) }} as counted,
        {{ field.max_length }} as allowed
    from (select record_number, parse_error, {{ clean_text(source_cell(field)) }} as whole from source_records)
    where
        parse_error is null
        and {{ exceeds('whole', field) }}
        and whole <> {{ fit_text('whole', field.max_length, field.counts) }}
{% endmacro %}

{#- A value without a line in enum_map; `unmapped_values` are by their spelling. -#}
{% macro rule_unknown_enum(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'unknown_enum' as code,
        {{ named(field) }},
        {{ value }} as value,
        '; the nearest one is ''' || unmapped_values.nearest_value
        || ''', which is sent as ''' || unmapped_values.suggested_api_value || '''' as detail,
        unmapped_values.nearest_value as suggestion
    from staged
    inner join unmapped_values on coalesce({{ value }}, '') = unmapped_values.spelling
    where unmapped_values.field = '{{ field.field }}'
{% endmacro %}

{#- The platform stores a reference verbatim: this one has the form of those that it gives itself. -#}
{% macro rule_reserved_reference(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'reserved_reference' as code,
        {{ named(field) }},
        {{ value }} as value,
        {{ sql_literal(field.reserved_form) }} as detail
    from staged
    where regexp_full_match({{ value }}, '(?i){{ field.reserved }}')
{% endmacro %}

{#- What a spreadsheet or a program makes of a reference: a number without its last digits, the error of a formula, a logical
    value, a date. A spreadsheet writes a month with one capital, people often write `MAR-12`. -#}
{% macro rule_damaged_reference(field) %}
    {% set value = 'staged.' ~ field.field %}
    {% set number = '[0-9]([.,][0-9]+)?[eE][+][0-9]{1,3}|[0-9][.,][0-9]+[eE]-[0-9]{1,3}' %}
    {% set month = '(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)' %}
    {% set day = '[0-9]{1,2}-' ~ month ~ '(-[0-9]{2,4})?|' ~ month ~ '-[0-9]{2,4}|[0-9]{4}-[0-9]{2}-[0-9]{2}[ T]00:00(:00)?' %}
    union all by name
    select
        record_number,
        'damaged_reference' as code,
        {{ named(field) }},
        {{ value }} as value,
        case
            when starts_with({{ value }}, '#') and trim({{ value }}, '#') = ''
                then 'is what a spreadsheet shows of a column that is too narrow'
            when regexp_full_match({{ value }}, '{{ error_texts() }}') then 'is the error of a formula'
            when regexp_full_match({{ value }}, '(?i)true|false')
                then 'is a logical value: probably the reference was overwritten, or another column is read for it'
            when contains(lower({{ value }}), 'e+')
                then 'is a number that was shortened: probably one of '
                    || try_cast(split_part(lower({{ value }}), 'e+', 2) as integer) + 1 || ' digits that begin with '
                    || replace(replace(split_part(lower({{ value }}), 'e+', 1), '.', ''), ',', '')
            when contains(lower({{ value }}), 'e-') then 'is a number in the notation of a spreadsheet'
            when contains({{ value }}, ':') then 'is a date with an empty time: a program took the reference for a date'
            when regexp_matches({{ value }}, '^[0-9]')
                then 'is a date: probably it was ' || {{ unmonthed(value, '2-1') }} || ' or ' || {{ unmonthed(value, '1-2') }}
            else 'is a month: probably it was ' || {{ unmonthed(value, '1-2') }}
        end as detail
    from staged
    where
        regexp_full_match({{ value }}, '(?:{{ error_texts() }}|(?i:true|false)|{{ number }}|{{ day }})')
{% endmacro %}

{#- A reference of digits that is shorter than another one of the file that begins with zeros. -#}
{% macro rule_lost_leading_zeros(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'lost_leading_zeros' as code,
        {{ named(field) }},
        {{ value }} as value,
        zeros.longest as counted,
        case when zeros.shortest = zeros.longest then lpad({{ value }}, zeros.longest::integer, '0') end as suggestion
    from staged
    cross join (
        select
            min(strlen({{ field.field }})) as shortest,
            max(strlen({{ field.field }})) as longest
        from staged
        where starts_with({{ field.field }}, '0') and regexp_full_match({{ field.field }}, '[0-9]+')
    ) as zeros
    where
        strlen({{ value }}) < zeros.longest
        and not starts_with({{ value }}, '0')
        and regexp_full_match({{ value }}, '[0-9]+')
{% endmacro %}

{#- What a spreadsheet shows in place of a value that it could not work out; the platform would store it as the text. -#}
{% macro rule_error_text(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'error_text' as code,
        {{ named(field) }},
        {{ value }} as value
    from staged
    where
        (starts_with({{ value }}, '#') or starts_with({{ value }}, 'Err:'))
        and regexp_full_match({{ value }}, '{{ error_texts() }}')
{% endmacro %}

{#- A required text that says that there is none. -#}
{% macro rule_placeholder_text(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'placeholder_text' as code,
        {{ named(field) }},
        {{ value }} as value
    from staged
    where strlen({{ value }}) <= 20 and regexp_full_match({{ value }}, '{{ placeholders() }}')
{% endmacro %}

{#- The error texts of spreadsheets, and what they show of a column that is too narrow, as a pattern. -#}
{% macro error_texts() -%}
    #(?:REF!|VALUE!|NAME[?]|DIV/0!|N/A|NULL!|NUM!|SPILL!|CALC!|#{2,})|Err:[0-9]{3}
{%- endmacro %}

{#- What people and programs write where they have nothing to write, as a pattern. -#}
{% macro placeholders() -%}
    (?i:n/?a|n[.]a[.]|tb[acd]|null|nil|nan|none|unknown|undefined|not (?:known|available|applicable)|[-–—]+|[?]+|[.…]+|_+)
{%- endmacro %}

{#- A date with the name of a month (`5-Apr-26`, `Apr-05`) with the month's number, and its first two parts in this order. -#}
{% macro unmonthed(expression, order) -%}
    {%- set month = "regexp_extract(" ~ expression ~ ", '[A-Z][a-z]{2}')" -%}
    {%- set digits = "(instr('JanFebMarAprMayJunJulAugSepOctNovDec', " ~ month ~ ") + 2) // 3" -%}
    regexp_replace(
        replace({{ expression }}, {{ month }}, ({{ digits }})::varchar), '^(\d+)-(\d+)', '\{{ order[0] }}-\{{ order[2] }}'
    )
{%- endmacro %}

{#- A reference of one of our own files, given back, that is not the one which the run of that file has kept for the line. -#}
{% macro rule_changed_reference(field) %}
    {% set value = clean_text(source_cell(field)) %}
    union all by name
    select
        record_number,
        'changed_reference' as code,
        {{ named(field) }},
        coalesce({{ value }}, '') as value,
        former_line as counted,
        {{ excerpt('former_reference') }} as detail,
        former_reference as suggestion
    from source_records
    where former_reference is not null and parse_error is null and former_reference is distinct from {{ value }}
{% endmacro %}

{#- UTF-8 that a program took for cp1252: `CafÃ©`. Each run of letters that are the bytes of one sign by cp1252 is read as UTF-8;
    what else is in the text stays. A single pair that makes no usual letter or sign (`É’`) is none. -#}
{% macro rule_mojibake(field) %}
    {% set value = 'staged.' ~ field.field %}
    {% set runs = '[\\x{c2}-\\x{df}][\\x{80}-\\x{bf}]|[\\x{e0}-\\x{ef}][\\x{80}-\\x{bf}]{2}|[\\x{f0}-\\x{f4}][\\x{80}-\\x{bf}]{3}' %}
    {% set hex = "list_transform(regexp_extract_all(run, '(?s).'), lambda letter: printf('%02x', unicode(letter)))" %}
    {% set meant = "try(decode(unhex(array_to_string(" ~ hex ~ ", ''))))" %}
    union all by name
    select
        record_number,
        'mojibake' as code,
        {{ named(field) }},
        garbled as value,
        {{ excerpt('meant') }} as detail,
        meant as suggestion
    from (
        select
            record_number,
            garbled,
            {{ as_bytes('garbled') }} as letters,
            list_distinct(regexp_extract_all(letters, '{{ runs }}')) as runs,
            array_to_string(list_transform(runs, lambda run: {{ meant }}), '') as signs,
            regexp_extract_all(letters, '(?s){{ runs }}|.') as pieces,
            {{ as_cp1252("array_to_string(list_transform(pieces, lambda run: coalesce(" ~ meant ~ ", run)), '')") }} as meant
        from (
            select record_number, {{ value }} as garbled
            from staged
            where strlen({{ value }}) > length({{ value }}) and regexp_matches({{ value }}, '[Â-ô][^\x00-\x7fÀ-ÿ]')
        ) as suspects
    ) as read
    where regexp_matches(signs, '[\x{a0}-\x{ff}\x{2010}-\x{2122}\x{1f000}-\x{1faff}]') or length(signs) >= 3
{% endmacro %}

{#- A text with the bytes of cp1252 as letters of the same numbers, and back again. -#}
{% macro as_bytes(expression) -%}
    translate({{ expression }}, '€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ', concat(chr(128), chr(130), chr(131), chr(132), chr(133), chr(134), chr(135), chr(136), chr(137), chr(138), chr(139), chr(140), chr(142), chr(145), chr(146), chr(147), chr(148), chr(149), chr(150), chr(151), chr(152), chr(153), chr(154), chr(155), chr(156), chr(158), chr(159)))
{%- endmacro %}

{% macro as_cp1252(expression) -%}
    translate({{ expression }}, concat(chr(128), chr(130), chr(131), chr(132), chr(133), chr(134), chr(135), chr(136), chr(137), chr(138), chr(139), chr(140), chr(142), chr(145), chr(146), chr(147), chr(148), chr(149), chr(150), chr(151), chr(152), chr(153), chr(154), chr(155), chr(156), chr(158), chr(159)), '€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ')
{%- endmacro %}

{#- The whole text has to match the card's pattern. -#}
{% macro rule_wrong_form(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'wrong_form' as code,
        {{ named(field) }},
        {{ value }} as value,
        {{ sql_literal(field.pattern_form) }} as detail
    from staged
    where not regexp_full_match({{ value }}, {{ sql_literal(field.pattern) }})
{% endmacro %}

{#- Five capital letters and no small one: a short name of a thing, such as PPE, is none. -#}
{% macro rule_in_capitals(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'in_capitals' as code,
        {{ named(field) }},
        {{ value }} as value
    from staged
    where regexp_full_match({{ value }}, '([^\p{Ll}]*\p{Lu}){5}[^\p{Ll}]*')
{% endmacro %}

{% macro rule_unprintable_reference(field) %}
    {% set value = 'staged.' ~ field.field %}
    {% set invisible = '[\\pC]|[^\\P{Z} ]' %}
    union all by name
    select
        record_number,
        'unprintable_reference' as code,
        {{ named(field) }},
        {{ value }} as value,
        {{ named_character(value, invisible) }} as detail
    from staged
    where regexp_matches({{ value }}, '{{ invisible }}')
{% endmacro %}

{% macro rule_near_duplicate_reference(field) %}
    union all by name
    select
        record_number,
        'near_duplicate_reference' as code,
        {{ named(field) }},
        staged.{{ field.field }} as value,
        duplicates.rival_line_number as counted
    from staged
    inner join duplicates using (record_number)
    where duplicates.rival_line_number is not null
{% endmacro %}

{% macro rule_conflicting_duplicate(field) %}
    union all by name
    select
        record_number,
        'conflicting_duplicate' as code,
        {{ named(field) }},
        staged.{{ field.field }} as value,
        duplicates.distinct_records as counted
    from staged
    inner join duplicates using (record_number)
    where duplicates.distinct_records > 1
{% endmacro %}

{% macro rule_invalid_date(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'invalid_date' as code,
        {{ named(field) }},
        written as value,
        {{ date_complaint() }} as detail,
        {{ suggested_date() }} as suggestion
    from (
        {{ unread_dates(value) }}
        select
            *,
            {{ zoned_date() }} as zoned
        from unread_dates
    ) as unread_dates
{% endmacro %}

{% macro rule_date_in_future(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'date_in_future' as code,
        {{ named(field) }},
        {{ value }} as value
    from staged
    where {{ utc_date(value) }} > {{ today_utc() }}
{% endmacro %}

{#- The zero day of a spreadsheet, or a slip of the pen. An accepted date begins with its year, so it compares as a text. -#}
{% macro rule_date_long_ago(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'date_long_ago' as code,
        {{ named(field) }},
        {{ value }} as value,
        {{ earliest_year() }} as allowed
    from staged
    where {{ value }} < '{{ earliest_year() }}' and {{ utc_date(value) }} is not null
{% endmacro %}

{#- The platform removes tags and resolves character references without a word. -#}
{% macro rule_contains_html(field) %}
    {% set value = 'staged.' ~ field.field %}
    {% set reference = '&(?:#[0-9]+|#[xX][0-9A-Fa-f]+|[A-Za-z][A-Za-z0-9]*);' %}
    union all by name
    select
        record_number,
        'contains_html' as code,
        {{ named(field) }},
        regexp_extract({{ value }}, '<[A-Za-z/!?][^>\s]*>?|{{ reference }}') as value
    from staged
    where
        (contains({{ value }}, '<') or contains({{ value }}, '&'))
        and regexp_matches({{ value }}, '<[A-Za-z/!?]|{{ reference }}')
{% endmacro %}

{#- Nobody sees them, and the platform stores them. Tab and line breaks are text. The joiners and direction marks that
    scripts and emoji need are left alone; overrides, isolates and zero-width spaces, which make a text read otherwise than
    it is stored, are not. -#}
{% macro rule_control_characters(field) %}
    {% set value = 'staged.' ~ field.field %}
    {% set invisible = '[\\x{01}-\\x{08}\\x{0b}\\x{0c}\\x{0e}-\\x{1f}\\x{7f}-\\x{9f}\\x{200b}\\x{2060}\\x{feff}'
        ~ '\\x{202a}-\\x{202e}\\x{2066}-\\x{2069}\\x{fffe}\\x{ffff}]' %}
    union all by name
    select
        record_number,
        'control_characters' as code,
        {{ named(field) }},
        {{ value }} as value,
        {{ named_character(value, invisible) }} as detail
    from staged
    where regexp_matches({{ value }}, '{{ invisible }}')
{% endmacro %}

{#- It shows where an earlier conversion lost a letter. -#}
{% macro rule_replacement_character(field) %}
    {% set value = 'staged.' ~ field.field %}
    union all by name
    select
        record_number,
        'replacement_character' as code,
        {{ named(field) }},
        {{ value }} as value,
        instr({{ value }}, chr(65533)) as counted
    from staged
    where contains({{ value }}, chr(65533))
{% endmacro %}

{#- The two columns that name the field of an issue. -#}
{% macro named(field) -%}
    {{ sql_literal(field.field) }} as field,
        {{ sql_literal(field.source_column) }} as source_column
{%- endmacro %}

{#- Holds for a staged record whose required cells are the names of their columns. -#}
{% macro repeats_header(fields) -%}
    {%- set names = [] -%}
    {%- for field in fields if field.is_required -%}
        {%- do names.append('staged.' ~ field.field ~ ' = ' ~ sql_literal(field.source_column)) -%}
    {%- endfor -%}
    ({{ names | join(' and ') or 'false' }})
{%- endmacro %}

{#- A template of issue_codes with its {placeholders} filled from a broken rule. The value comes last, so that a cell cannot
    pose as a placeholder; a long one is cut to 80 characters. -#}
{% macro filled_template(template, rule, entity) -%}
    {%- set fillings = {
        'entity': sql_literal(entity),
        'field': rule ~ '.field',
        'source_column': rule ~ '.source_column',
        'count': rule ~ '.counted',
        'limit': rule ~ '.allowed',
        'detail': rule ~ '.detail',
    } -%}
    {%- set ns = namespace(sql=template) -%}
    {%- for placeholder, expression in fillings.items() -%}
        {%- set ns.sql = "replace(" ~ ns.sql ~ ", '{" ~ placeholder ~ "}', coalesce(" ~ expression ~ "::varchar, ''))" -%}
    {%- endfor -%}
    replace({{ ns.sql }}, '{value}', {{ excerpt(rule ~ '.value') }})
{%- endmacro %}

{#- The first character that matches, as a message names it: `U+0007 at character 12`. -#}
{% macro named_character(expression, pattern) -%}
    {%- set found = "regexp_extract(" ~ expression ~ ", '" ~ pattern ~ "')" -%}
    printf('U+%04X at character %d', unicode({{ found }}), instr({{ expression }}, {{ found }}))
{%- endmacro %}

{#- A value as a message shows it: at most 80 characters, line breaks as spaces, and what a terminal would obey, or
    nobody would see, as the replacement character. -#}
{% macro excerpt(expression) -%}
    coalesce(
        regexp_replace(regexp_replace(left({{ expression }}, 80), '\s+', ' ', 'g'), '[\p{Cc}\p{Cf}]', chr(65533), 'g')
        || case when length({{ expression }}) > 80 then '...' else '' end,
        ''
    )
{%- endmacro %}
