{#- One field of a staging model: the cleaned cell mapped by enum_map, shortened, or given its default. -#}
{% macro staged_field(field) -%}
    {%- set cell = 'cleaned.' ~ field.field -%}
    {%- if field.is_enum -%}
    coalesce(
        enum_maps.{{ field.field }}_map[lower(coalesce({{ cell }}, ''))],
        enum_maps.{{ field.field }}_map[{{ folded_value(cell) }}],
        {{ cell }}
    )
    {%- elif field.format == 'date' -%}
    coalesce({{ field.field }}_read.as_asked, {{ cell }}{{ ', ' ~ sql_literal(field.default_value) if field.default_value }})
    {%- elif field.on_too_long == 'truncate' -%}
    {{ fit_text(cell, field.max_length, field.counts) }}
    {%- elif field.default_value is not none -%}
    coalesce({{ cell }}, {{ sql_literal(field.default_value) }})
    {%- else -%}
    {{ cell }}
    {%- endif -%}
{%- endmacro %}

{#- The cell of one field, restored. -#}
{% macro source_cell(field) -%}
    {{ restored_cell('source_records.' ~ adapter.quote(field.source_column)) }}
{%- endmacro %}

{#- A cell of the file without the apostrophe that our own exports put before a formula, so that no spreadsheet runs it. -#}
{% macro restored_cell(cell) -%}
    case
        when source_records.is_export and regexp_matches({{ cell }}, '^''+[=+\-@\t\r\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]')
            then substring({{ cell }}, 2)
        else {{ cell }}
    end
{%- endmacro %}

{#- A text without white space at both ends (Unicode's, the no-break space and the byte order mark too); null for a blank
    one. Most texts begin and end with printable ASCII: they need no pattern, which would cost more. -#}
{% macro clean_text(expression) -%}
    case
        when unicode({{ expression }}) between 33 and 126 and unicode(({{ expression }})[-1]) between 33 and 126
            then {{ expression }}
        else nullif(regexp_replace({{ expression }}, '^[\s\pZ\x{feff}]+|[\s\pZ\x{feff}]+$', '', 'g'), '')
    end
{%- endmacro %}

{#- A text without the white space at its end; null where nothing is left. White space is what Python's str.strip() takes
    for it, because the platform strips with that. -#}
{% macro without_end_blanks(expression) -%}
    nullif(regexp_replace({{ expression }}, '[\t-\r\x1c-\x1f\x{85}\pZ]+$', ''), '')
{%- endmacro %}

{#- A text shortened to what the API counts as at most `max_length`. It is cut between two graphemes, and white space before
    the cut goes too. Where the first grapheme alone is too long, the whole text is left, and validation refuses it.
    No character counts more than 6, so most texts need no count. The number of graphemes is found in strides, each a part
    of the one before: to count every beginning would cost more than all the rest of staging. CRLF is two graphemes for
    DuckDB, and counts 1. -#}
{% macro fit_text(expression, max_length, counts) -%}
    {%- set fits = counted_length("left_grapheme(" ~ expression ~ ", size)", counts) ~ " <= " ~ max_length -%}
    {%- set largest = "list_max(list_filter(range({}, {}, {}), lambda size: " ~ fits ~ "))" -%}
    {%- set found = [largest.format(0, 2 * max_length + 1, 64)] -%}
    {%- for stride, part in [(64, 8), (8, 1)] -%}
        {%- set within = largest.format('base', 'base + ' ~ stride, part) -%}
        {%- do found.append('list_transform([' ~ found[-1] ~ '], lambda base: ' ~ within ~ ')[1]') -%}
    {%- endfor -%}
    case
        when length({{ expression }}) <= {{ max_length // 6 }} then {{ expression }}
        when {{ counted_length(expression, counts) }} <= {{ max_length }} then {{ expression }}
        else coalesce({{ without_end_blanks("left_grapheme(" ~ expression ~ ", " ~ found[-1] ~ ")") }}, {{ expression }})
    end
{%- endmacro %}

{#- The length of a text as the API counts it, in code points. Where the card says `counts: escaped`, the API counts after
    its HTML escaping: & is 5 long, < and > are 4, the no-break space is 6, CRLF becomes LF. Tags and character references
    are counted as they are written. The API drops or shortens them, so this is never too few. -#}
{% macro counted_length(expression, counts) -%}
    {%- if counts == 'escaped' -%}
    (
        length(replace({{ expression }}, chr(13) || chr(10), chr(10)))
        + 4 * (length({{ expression }}) - length(replace({{ expression }}, '&', '')))
        + 3 * (length({{ expression }}) - length(replace(replace({{ expression }}, '<', ''), '>', '')))
        + 5 * (length({{ expression }}) - length(replace({{ expression }}, chr(160), '')))
    )
    {%- else -%}
    length({{ expression }})
    {%- endif -%}
{%- endmacro %}

{#- Holds for a text that counts as more than the field's limit. The size in bytes settles most texts without a count: a
    character counts as 6 at most when it is escaped. -#}
{% macro exceeds(expression, field) -%}
    {%- set size = 'strlen(' ~ expression ~ ')' -%}
    (
        (
            {{ size }} > {{ field.max_length }}
            {%- if field.counts == 'escaped' %}
            or {{ size }} * 6 > {{ field.max_length }} and regexp_matches({{ expression }}, '[&<>\x{a0}]')
            {%- endif %}
        )
        and {{ counted_length(expression, field.counts) }} > {{ field.max_length }}
    )
{%- endmacro %}

{#- A key in a form that is the same for all keys that look the same: without case, white space, invisible characters,
    Unicode forms, and look-alikes of hyphen, quote and slash. Most keys are printable ASCII and need no pattern. -#}
{% macro folded_key(expression) -%}
    case
        when regexp_full_match({{ expression }}, '[!-~]*') then lower({{ expression }})
        else regexp_replace(
            translate(
                lower(nfc_normalize({{ expression }})),
                '‐‑‒–—―−﹘﹣－’‘ʼ´`“”＂⁄∕／＿．０１２３４５６７８９ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ',
                '----------''''''''''"""///_.0123456789abcdefghijklmnopqrstuvwxyz'
            ),
            '[\s\pZ\pC]+', '', 'g'
        )
    end
{%- endmacro %}

{#- A value of an enum in a form that is the same for all its spellings: without case and accents, and with one blank for
    each run of white space, hyphens, dashes and underscores. A sign at an end stays a blank, so that neither `-` is a blank
    cell nor `-1` a 1. A long text is no value, and folding it would cost more than all of staging. -#}
{% macro folded_value(expression) -%}
    case
        when strlen({{ expression }}) > 200 then {{ expression }}
        else regexp_replace(strip_accents(lower({{ expression }})), '[\s\pZ\p{Pd}_\x{2212}]+', ' ', 'g')
    end
{%- endmacro %}

{#- The cells of one field that staging changed, each with its value before and after, and the rule that changed it. -#}
{% macro changed_cells(field, key) %}
    {%- set cell = 'source_records.' ~ adapter.quote(field.source_column) -%}
    {%- set after = 'staged.' ~ field.field -%}
    select
        staged.record_number,
        staged.line_number,
        staged.{{ key }} as reference_number,
        '{{ field.field }}' as field,
        coalesce({{ cell }}, '') as before,
        coalesce({{ after }}, '') as after,
        case
            when {{ after }} is null then 'trimmed'
            when {{ clean_text(source_cell(field)) }} is null then 'default'
            when {{ clean_text(cell) }} = {{ after }} then 'trimmed'
            when {{ clean_text(source_cell(field)) }} = {{ after }} then 'restored'
            else {{ "'mapped'" if field.is_enum else "'dated'" if field.format == 'date' else "'truncated'" }}
        end as rule
    from staged
    inner join source_records on staged.record_number = source_records.record_number
    where
        coalesce({{ cell }}, '') <> coalesce({{ after }}, '')
{% endmacro %}
