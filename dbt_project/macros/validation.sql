{#- The records whose key is in the file more than once, or looks like another one in it. -#}
{% macro duplicates(entity) %}
{% set key = key_field(card(entity).fields).field %}

with staged as (
    select
        record_number,
        line_number,
        record_hash,
        {{ key }} as key_value,
        {{ folded_key(key) }} as folded
    from {{ ref('stg_' ~ entity) }}
    where
        parse_error is null
        and {{ key }} is not null
),

crowded as (
    select folded from staged
    group by folded
    having count(*) > 1
),

alike as (
    select staged.*
    from staged
    inner join crowded on staged.folded = crowded.folded
),

spellings as (
    select
        folded,
        key_value,
        count(distinct record_hash) as distinct_records,
        min(line_number) as first_line
    from alike
    group by folded, key_value
),

rivals as (
    select
        key_value,
        distinct_records,
        case
            when first_line > min(first_line) over (partition by folded)
                then min(first_line) over (partition by folded)
            else lead(first_line) over (partition by folded order by first_line)
        end as rival_line_number
    from spellings
),

duplicates as (
    select
        alike.record_number,
        rivals.distinct_records,
        rivals.rival_line_number,
        min(alike.line_number) over (partition by alike.key_value, alike.record_hash) as first_line_number
    from alike
    inner join rivals on alike.key_value = rivals.key_value
)

select * from duplicates
{% endmacro %}

{#- The values that enum_map does not know, each with the line that would make it known.
    A person follows a suggestion without much thought, so there is one only where the value can hardly mean anything else;
    `is_meant` says when. Each value is compared with the few rows of its field, whatever the number of records. -#}
{% macro unmapped_values(entity) %}
{% set fields = card(entity).fields %}

with staged as (
    select * from {{ ref('stg_' ~ entity) }} as staged
    where
        parse_error is null
        and not coalesce({{ repeats_header(fields) }}, false)
),

found as (
    {% for field in fields if field.is_enum %}
        {{ 'union all' if not loop.first }}
        select
            {{ sql_literal(field.field) }} as field,
            {{ sql_literal(field.source_column) }} as source_column,
            coalesce({{ field.field }}, '') as spelling,
            {{ folded_value('spelling') }} as folded,
            {{ plain_words('left(folded, 61)', field, entity) }} as words,
            count(*) as records
        from staged
        group by {{ field.field }}
    {% else %}
        select null as field, null as source_column, null as spelling, null as folded, null as words, 0 as records where false
    {% endfor %}
),

enum_map as (
    select * from {{ ref('enum_map') }}
    where entity = '{{ entity }}'
),

unmapped as (
    select
        found.field,
        found.source_column,
        min(lower(found.spelling)) as value,
        any_value(found.words) as words,
        sum(found.records)::bigint as records,
        list(found.spelling order by found.spelling) as spellings
    from found
    anti join enum_map on found.field = enum_map.field and found.spelling = enum_map.api_value
    group by found.field, found.source_column, found.folded
),

known as (
    {% for field in fields if field.is_enum %}
        {{ 'union all' if not loop.first }}
        select
            field,
            source_value,
            api_value,
            {{ plain_words(folded_value('source_value'), field, entity) }} as words
        from enum_map
        where field = {{ sql_literal(field.field) }} and source_value is not null
    {% else %}
        select null as field, null as source_value, null as api_value, null as words where false
    {% endfor %}
),

-- The rest is what stands before or behind a known value: the 2 of `2 - High`. A text of a misplaced column is no value.
compared as (
    select
        unmapped.field,
        unmapped.value,
        unmapped.words,
        known.source_value,
        known.api_value,
        known.words as known_words,
        case
            when starts_with(unmapped.words, known.words || ' ') then substring(unmapped.words, length(known.words) + 2)
            when ends_with(unmapped.words, ' ' || known.words)
                then left(unmapped.words, length(unmapped.words) - length(known.words) - 1)
        end as rest
    from unmapped
    inner join known on unmapped.field = known.field
    where length(unmapped.value) <= 60
),

near as (
    select distinct
        compared.*,
        jaro_winkler_similarity(compared.words, compared.known_words) as similarity
    from compared
    left join known as rests
        on compared.field = rests.field and compared.rest = rests.words and compared.api_value = rests.api_value
    where rests.words is not null or {{ is_meant('compared') }}
),

-- Two that are sent as different values are one too many: nobody knows which one is meant.
nearest as (
    select
        field,
        value,
        first(source_value order by regexp_matches(source_value, '^\d'), similarity desc, source_value) as nearest_value,
        first(api_value) as suggested_api_value
    from near
    group by field, value
    having count(distinct api_value) = 1
),

unmapped_values as (
    select
        unmapped.* exclude (words),
        nearest.nearest_value,
        nearest.suggested_api_value,
        '{{ entity }},' || unmapped.field || ',' || {{ csv_cell("nullif(unmapped.value, 'null')") }} || ','
        || coalesce(nearest.suggested_api_value, '') as enum_map_line
    from unmapped
    left join nearest on unmapped.field = nearest.field and unmapped.value = nearest.value
)

select * from unmapped_values
{% endmacro %}

{#- The words of a folded value, with one blank between two; without punctuation, and without words that say nothing beside
    a value: those of the field's own names, as in `Severity: high`, and a few of any field. What other scales call a step is
    given the name that most maps have for it: `P1` and `Sev 1` are 1, `Major` is high. Which one is meant a person decides. -#}
{% macro plain_words(expression, field, entity) -%}
    {%- set texts = [field.field, field.source_column, entity] | join(' ') | lower | replace('_', ' ') -%}
    {%- set names = modules.re.findall('[a-z0-9]{3,}', texts) -%}
    {%- set unsaying = (names + ['risk', 'level', 'rating', 'category', 'case', 'report', 'observation']) | unique | join('|') -%}
    {%- set said = "trim(regexp_replace(regexp_replace(" ~ expression ~ ", '[^\\pL\\pN]+|\\b(?:" ~ unsaying ~ ")\\b', ' ', 'g'), ' +', ' ', 'g'))" -%}
    case {{ said }}
        when 'major' then 'high'
        when 'crit' then 'critical'
        when 'moderate' then 'medium'
        when 'med' then 'medium'
        when 'minor' then 'low'
        else regexp_replace({{ said }}, '^(?:p|prio|sev) ?(\d)$', '\1')
    end
{%- endmacro %}

{#- Holds where `words` can hardly mean anything but `known_words`:
      the same words, and before a number nothing that makes another one of it; the same number, as `1.0` is 1
      a plural or a participle: `hazards`, `injuries`, `opened`
      the first word of it: `property` damage; the beginning of it with a full stop: `env.`
      one typing error, or two in a long text. Never for numbers, and never where the first letter is another or one word is
      the other behind a prefix: `unresolved` is not resolved. -#}
{% macro is_meant(pair) -%}
    {%- set words, known = pair ~ '.words', pair ~ '.known_words' -%}
    (
        (
            {{ words }} = {{ known }}
            and (
                not regexp_full_match({{ words }}, '\d+')
                or regexp_full_match({{ pair }}.value, '(\pL[^\d+<>=%]*|[#(]*)\d+[).]*')
            )
        )
        or try_cast({{ pair }}.value as decimal(9, 3)) = try_cast({{ pair }}.source_value as decimal(9, 3))
        or (
            not regexp_matches({{ words }} || {{ known }}, '\d')
            and length({{ words }}) >= 3
            and length({{ known }}) >= 3
            and (
                {{ words }} in ({{ known }} || 's', {{ known }} || 'es', {{ known }} || 'ed')
                or ({{ words }} <> {{ known }} and {{ words }} = regexp_replace({{ known }}, 'y$', 'ies'))
                or (starts_with({{ known }}, {{ words }} || ' ') and {{ words }} not in ('not', 'non'))
                or (starts_with({{ known }}, {{ words }}) and ends_with({{ pair }}.value, '.'))
                or (
                    least(length({{ words }}), length({{ known }})) >= 4
                    and abs(length({{ words }}) - length({{ known }})) <= 2
                    and {{ words }}[1] = {{ known }}[1]
                    and damerau_levenshtein({{ words }}, {{ known }})
                    <= case when least(length({{ words }}), length({{ known }})) < 8 then 1 else 2 end
                    and not ends_with({{ words }}, {{ known }})
                    and len(list_filter(
                        list_zip(string_split({{ words }}, ' '), string_split({{ known }}, ' ')),
                        lambda word: word[1] <> word[2] and (ends_with(word[1], word[2]) or ends_with(word[2], word[1]))
                    )) = 0
                )
            )
        )
    )
{%- endmacro %}

{#- Every rule that a record breaks, in words; the rules themselves are in rules.sql. -#}
{% macro issues(entity) %}
{% set fields = card(entity).fields %}

-- Not materialized: each rule reads the few columns that it needs, and a copy of all of them would cost more.
with source_records as not materialized (
    select * from {{ ref('raw_' ~ entity) }}
),

staged as not materialized (
    select * from {{ ref('stg_' ~ entity) }}
    where parse_error is null
),

duplicates as (
    select * from {{ ref('int_' ~ entity ~ '_duplicates') }}
),

unmapped_values as (
    select
        *,
        unnest(spellings) as spelling
    from {{ ref('int_' ~ entity ~ '_unmapped_values') }}
),

-- What the file calls our columns, where a profile says so.
renamed as (
    select nullif(any_value(renamed_columns), '{}')::json as names from source_records
    where record_number = 1
),

broken as (
    {{ broken_rules(fields) }}
),

sole as (
    {{ sole_rules(fields) }}
),

lines_of_no_record as (
    {{ lines_of_no_record() }}
),

unparsed as (
    select
        source_records.record_number,
        case when lines.kind is null then source_records.parse_error else 'not_a_record' end as code,
        left(source_records.raw_record, 80) as value,
        source_records.cell_count as counted,
        json_array_length(source_records.source_columns)::bigint as allowed,
        lines.kind as detail
    from source_records
    left join lines_of_no_record as lines on source_records.record_number = lines.record_number
    where source_records.parse_error is not null
),

issues as materialized (
    select * from broken
    where record_number not in (select record_number from sole)
    union all by name
    select * from sole
    union all by name
    select * from unparsed
),

-- From a list, because DuckDB expects an issue for every record and would put all records into memory to join them.
numbers as (
    select unnest(list(distinct record_number)) as record_number from issues
),

records as (
    select staged.*
    from {{ ref('stg_' ~ entity) }} as staged
    semi join numbers on staged.record_number = numbers.record_number
),

codes as (
    select * from {{ ref('issue_codes') }}
),

-- An issue names the column as the file does.
named as (
    select issues.* replace (coalesce(renamed.names ->> issues.source_column, issues.source_column) as source_column)
    from issues
    cross join renamed
),

explained as (
    select
        records.source_file,
        records.source_sha256,
        records.record_number,
        records.line_number,
        records.record_hash,
        records.{{ key_field(fields).field }} as reference_number,
        {{ severity_of('codes', card(entity).get('severities', {})) }} as severity,
        named.code,
        named.field,
        left(named.value, 80) as value,
        named.counted,
        named.allowed,
        named.suggestion,
        {{ filled_template('codes.message', 'named', entity) }} as message,
        {{ filled_template('codes.how_to_fix', 'named', entity) }} as how_to_fix
    from named
    inner join records on named.record_number = records.record_number
    left join codes on named.code = codes.code
)

select * from explained
{% endmacro %}

{#- The severity of a code: that of the card where it names one, else that of issue_codes. -#}
{% macro severity_of(codes, severities) -%}
    {%- if severities -%}
    case {{ codes }}.code
        {%- for code, severity in severities.items() %} when {{ sql_literal(code) }} then {{ sql_literal(severity) }}{% endfor %}
        else {{ codes }}.severity
    end
    {%- else -%}
    {{ codes }}.severity
    {%- endif -%}
{%- endmacro %}

{#- The documented exceptions of an entity, and whether this file needs them. -#}
{% macro excepted_records(entity) %}
with documented as (
    select
        row_number() over () + 1 as line_number,
        *
    from {{ ref('documented_exceptions') }}
),

exceptions as (
    select * from documented
    where entity = '{{ entity }}'
),

errors as (
    select
        record_number,
        record_hash,
        reference_number,
        code
    from {{ ref('int_' ~ entity ~ '_issues') }}
    where severity = 'error'
),

-- An exception of the version before names a former hash, which is worked out for the records that it can mean alone.
former_hashes as (
    select
        source_records.record_number,
        {{ former_record_hash(card(entity).fields) }} as former_hash
    from {{ ref('raw_' ~ entity) }} as source_records
    semi join (
        select errors.record_number
        from errors
        inner join exceptions on errors.code = exceptions.code
        where not starts_with(exceptions.record_hash, 'v')
    ) as meant on source_records.record_number = meant.record_number
),

identified as (
    select
        errors.record_number,
        errors.reference_number,
        errors.code,
        list_value(errors.record_hash, former_hashes.former_hash) as both_hashes
    from errors
    left join former_hashes on errors.record_number = former_hashes.record_number
),

covered as (
    select
        exceptions.line_number,
        identified.record_number
    from exceptions
    inner join identified on exceptions.code = identified.code
    where
        (exceptions.reference_number is null or exceptions.reference_number = identified.reference_number)
        and (exceptions.record_hash is null or list_contains(identified.both_hashes, exceptions.record_hash))
        and coalesce(exceptions.reference_number, exceptions.record_hash) is not null
),

records as (
    select
        line_number,
        list(record_number order by record_number) as record_numbers
    from covered
    group by line_number
),

judged as (
    select
        exceptions.*,
        case
            when try_cast(exceptions.expires_on as date) < {{ today_utc() }} then 'expired'
            when records.line_number is null then 'unused'
            else 'used'
        end as state,
        coalesce(records.record_numbers, []) as record_numbers
    from exceptions
    left join records on exceptions.line_number = records.line_number
)

select * from judged
{% endmacro %}

{#- Every record with its verdict. -#}
{% macro records(entity) %}
{{ config(materialized='view') }}

with staged as (
    select * from {{ ref('stg_' ~ entity) }}
),

exceptions as (
    select
        unnest(record_numbers) as record_number,
        code,
        reason || coalesce(' (approved by ' || approved_by || ')', '') as reason
    from {{ ref('int_' ~ entity ~ '_exceptions') }}
    where state = 'used'
),

excepted as (
    select
        record_number,
        code,
        string_agg(distinct reason, '; ' order by reason) as reason
    from exceptions
    group by record_number, code
),

issues as (
    select
        issues.record_number,
        issues.severity,
        issues.code,
        excepted.reason
    from {{ ref('int_' ~ entity ~ '_issues') }} as issues
    left join excepted on issues.record_number = excepted.record_number and issues.code = excepted.code
),

found as (
    select
        record_number,
        coalesce(list(code order by code) filter (where severity = 'error'), []) as error_codes,
        coalesce(list(code order by code) filter (where severity = 'warning'), []) as warning_codes,
        count(*) filter (where severity = 'error' and reason is null) as open_errors,
        string_agg(distinct reason, '; ' order by reason) as exception_reason
    from issues
    group by record_number
),

judged as (
    select
        staged.source_file,
        staged.source_sha256,
        staged.record_number,
        staged.line_number,
        staged.record_hash,
        staged.{{ key_field(card(entity).fields).field }} as reference_number,
        case
            when staged.parse_error is not null then 'parse_error'
            when list_contains(found.warning_codes, 'duplicate_reference') then 'duplicate'
            when found.open_errors > 0 then 'invalid'
            when len(found.error_codes) > 0 then 'excepted'
            else 'valid'
        end as status,
        coalesce(found.error_codes, []) as error_codes,
        coalesce(found.warning_codes, []) as warning_codes,
        found.exception_reason
    from staged
    left join found on staged.record_number = found.record_number
)

select * from judged
{% endmacro %}

{#- Every cell that staging changed. -#}
{% macro changes(entity) %}
{{ config(materialized='view') }}
{% set fields = card(entity).fields %}

-- Each field reads its own column alone: DuckDB would keep whatever is read twice in memory, every column of it.
with staged as not materialized (
    select * from {{ ref('stg_' ~ entity) }}
    where parse_error is null
),

source_records as not materialized (
    select * from {{ ref('raw_' ~ entity) }}
),

changes as (
    {% for field in fields %}
        {{ 'union all' if not loop.first }}
        {{ changed_cells(field, key_field(fields).field) }}
    {% else %}
        select null where false
    {% endfor %}
)

select * from changes
{% endmacro %}

{#- The counts of the file, which must close, and the hash of the validated output. -#}
{% macro totals(entity) %}
{% set dates = card(entity).fields | selectattr('format', 'equalto', 'date') | list %}
{% set cells = ['record_hash'] %}
{% for field in card(entity).fields | sort(attribute='field') %}
    {% do cells.append('coalesce(' ~ field.field ~ ', chr(0))') %}
{% endfor %}

-- Not materialized: the dates are read apart from what is known of the file.
with source_records as not materialized (
    select * from {{ ref('raw_' ~ entity) }}
),

records as (
    select * from {{ ref('int_' ~ entity ~ '_records') }}
),

staged as (
    select * from {{ ref('stg_' ~ entity) }}
),

issues as (
    select count(*) filter (where severity = 'warning') as warnings from {{ ref('int_' ~ entity ~ '_issues') }}
),

source_file as (
    select
        source_file,
        source_sha256,
        from_json(source_columns, '["VARCHAR"]') as source_columns,
        source_records,
        source_blank_lines,
        is_export,
        source_profile,
        renamed_columns::json::map(varchar, varchar) as renamed_columns,
        from_json(source_notices, '["VARCHAR"]') as source_notices,
        date_order,
        assume_zone
    from source_records
    where record_number = 1
),

{% for field in dates %}
{{ field.field }}_judged as (
    {{ judged_dates(field) }}
),

{% endfor %}
judged_dates as (
    {% for field in dates %}
        {{ 'union all' if not loop.first }}
        select * from {{ field.field }}_judged
    {% else %}
        select null as field where false
    {% endfor %}
),

found_dates as (
    select coalesce(list(judged_dates order by field), []) as dates from judged_dates
),

counted as (
    select
        count(*) filter (where status = 'parse_error') as parse_error_records,
        count(*) filter (where status = 'invalid') as invalid_records,
        count(*) filter (where status = 'duplicate') as duplicate_records,
        count(*) filter (where status = 'excepted') as excepted_records,
        count(*) filter (where status = 'valid') as ready_records
    from records
),

-- By the block, because DuckDB sorts one list on one core alone.
hashed_blocks as (
    select
        record_number // 16384 as block,
        md5(string_agg(md5(concat_ws(chr(0), {{ cells | join(', ') }})), '' order by record_number)) as digest
    from staged
    group by block
),

hashed_records as (select list(digest order by block) as digests from hashed_blocks),

hashed_verdicts as (
    select list(record_number || status || to_json([error_codes, warning_codes]) order by record_number) as verdicts
    from records
    where status <> 'valid' or len(warning_codes) > 0
),

totals as (
    select
        '{{ invocation_id }}' as invocation_id,
        source_file.*,
        counted.*,
        issues.warnings,
        found_dates.dates,
        sha256(array_to_string(list_concat(digests, verdicts), '')) as output_hash
    from source_file
    cross join counted
    cross join issues
    cross join found_dates
    cross join hashed_records
    cross join hashed_verdicts
)

select * from totals
{% endmacro %}
