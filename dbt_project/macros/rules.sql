{#- The rules of an entity that are not of `record_rules`: of a record among the others, and of each field. -#}
{% macro other_rules(fields) %}
    {% set record = {'field': none, 'source_column': none} %}
    {% set first = 'duplicates.first_line_number' %}
    {% set repeated = first ~ ' < staged.line_number and duplicates.distinct_records = 1' %}
    {% set rules = [broken_rule('duplicate_reference', record, repeated, 'null', first, suspicion='false')] %}
    {% for field in fields %}{% do rules.extend(broken_rules(field)) %}{% endfor %}
    {{ return(rules) }}
{% endmacro %}

{#- The rules of a whole record that make every other finding about it noise: it is the header again, or it is blank.
    A blank cell of an enum is staged as its default, so those are read from the file. -#}
{% macro record_rules(fields) %}
    {% set record = {'field': none, 'source_column': none} %}
    {% set blank = ["len(list_filter(coalesce(source_records.other_cells, []), lambda cell: " ~ clean_text('cell') ~ " is not null)) = 0"] %}
    {% for field in fields %}
        {% set cell = 'source_records.' ~ adapter.quote(field.source_column) %}
        {% set defaulted = field.is_enum or field.default_value is not none %}
        {% do blank.append((clean_text(cell) if defaulted else 'staged.' ~ field.field) ~ ' is null') %}
    {% endfor %}
    {{ return([
        broken_rule('repeated_header', record, repeats_header(fields), 'null'),
        broken_rule('blank_record', record, blank | join(' and '), 'null', suspicion='staged.' ~ key_field(fields).field ~ ' is null'),
    ]) }}
{% endmacro %}

{#- The rules of one field. `before` is the cell of the file, cleaned of white space; `after` is the staged value.
    The suspicions are over `staged` or over `source_records`, each of them over one relation alone. -#}
{% macro broken_rules(field) %}
    {% set cell = 'source_records.' ~ adapter.quote(field.source_column) %}
    {% set before, after = clean_text(source_cell(field)), 'staged.' ~ field.field %}
    {% set rules = [] %}
    {% if field.is_required %}
        {% do rules.append(required_rule(field, after)) %}
    {% endif %}
    {% if field.max_length %}
        {% set most, size = field.max_length, counted_length(after, field.counts) %}
        {% do rules.append(broken_rule('too_long', field, size ~ ' > ' ~ most, after, size, most,
            suspicion=may_exceed(after, field))) %}
        {% if field.on_too_long == 'truncate' %}
            {% set whole = counted_length(before, field.counts) %}
            {% do rules.append(broken_rule('truncated', field, whole ~ ' > ' ~ most ~ ' and ' ~ size ~ ' <= ' ~ most,
                before, whole, most, suspicion=may_exceed(cell, field))) %}
        {% endif %}
    {% endif %}
    {% if field.is_key %}
        {% do rules.extend(key_rules(field, after)) %}
    {% elif field.is_enum %}
        {% do rules.append(unknown_enum_rule(field, after)) %}
    {% elif field.format == 'date' %}
        {% do rules.extend(date_rules(field, after)) %}
    {% else %}
        {% do rules.extend(text_rules(field, after)) %}
    {% endif %}
    {{ return(rules) }}
{% endmacro %}

{#- One rule: a record for which `condition` holds breaks it, and `columns` are what there is to say of that, as SQL.
    `suspicion` is a cheaper condition that holds whenever `condition` does: only the records for which some suspicion
    holds are looked at closely. Without a `code`, the code is the record's parse_error. -#}
{% macro broken_rule(code, field, condition, value, count='null', allowed='null', detail='null', suggestion='null', suspicion=none) %}
    {{ return({
        'condition': condition,
        'suspicion': suspicion or condition,
        'columns': {
            'code': sql_literal(code) if code else 'parse_error',
            'field': sql_literal(field.field),
            'source_column': sql_literal(field.source_column),
            'value': value,
            'count': count,
            'allowed': allowed,
            'detail': detail,
            'suggestion': suggestion,
        },
    }) }}
{% endmacro %}

{#- The rule of a required field: it is blank, or a text of which the platform, which drops HTML tags and strips some
    fields, would keep nothing. -#}
{% macro required_rule(field, after) %}
    {% set is_text = not (field.is_key or field.is_enum or field.format) %}
    {% set blank, bare = after ~ ' is null', clean_text("regexp_replace(" ~ after ~ ", '<[A-Za-z/!?][^>]*>?', '', 'g')") %}
    {% set suspicion = blank ~ " or contains(" ~ after ~ ", '<')" if is_text else blank %}
    {% if field.is_stripped %}
        {% set bare = without_end_blanks(bare) %}
        {% set suspicion = suspicion ~ " or unicode(" ~ after ~ ") < 33 or unicode(" ~ after ~ ") = 133" %}
    {% endif %}
    {{ return(broken_rule('required', field,
        blank ~ ' or (' ~ suspicion ~ ') and ' ~ bare ~ ' is null' if is_text else blank,
        'coalesce(' ~ after ~ ", '')",
        detail="': the platform keeps nothing of ''' || nullif(" ~ excerpt(after) ~ ", '') || ''''" if is_text else 'null',
        suspicion=suspicion
    )) }}
{% endmacro %}

{#- The rules of the field that names the record on the platform, which stores it verbatim. -#}
{% macro key_rules(field, after) %}
    {% set rules = [] %}
    {% if field.reserved %}
        {% do rules.append(broken_rule('reserved_reference', field,
            "regexp_full_match(" ~ after ~ ", '(?i)" ~ field.reserved ~ "')", after)) %}
    {% endif %}
    {% set invisible = '[\\pC]|[^\\P{Z} ]' %}
    {% do rules.append(broken_rule('unprintable_reference', field, "regexp_matches(" ~ after ~ ", '" ~ invisible ~ "')",
        after, detail=named_character(after, invisible), suspicion="not regexp_full_match(" ~ after ~ ", '[ -~]*')")) %}
    {% set rival = 'duplicates.rival_line_number' %}
    {% do rules.append(broken_rule('near_duplicate_reference', field, rival ~ ' is not null', after, rival,
        suspicion='false')) %}
    {% set different = 'duplicates.distinct_records' %}
    {% do rules.append(broken_rule('conflicting_duplicate', field, different ~ ' > 1', after, different, suspicion='false')) %}
    {{ return(rules) }}
{% endmacro %}

{#- The rules of a free text: what the platform removes or rewrites without a word, and what nobody can see. Tab and
    line breaks are text. The joiners and direction marks that scripts and emoji need are left alone; overrides,
    isolates and zero-width spaces, which make a text read otherwise than it is stored, are not. -#}
{% macro text_rules(field, after) %}
    {% set invisible = '\\x{01}-\\x{08}\\x{0b}\\x{0c}\\x{0e}-\\x{1f}\\x{7f}-\\x{9f}\\x{200b}\\x{2060}\\x{feff}'
        ~ '\\x{202a}-\\x{202e}\\x{2066}-\\x{2069}\\x{fffe}\\x{ffff}' %}
    {% set html = '<[A-Za-z/!?][^>]*>?|&(?:#[0-9]+|#[xX][0-9A-Fa-f]+|[A-Za-z][A-Za-z0-9]*);' %}
    {% set unusual = "not regexp_full_match(" ~ after ~ ", '[\\t\\n\\r -%''-;=-~]*')"
        ~ " and regexp_matches(" ~ after ~ ", '[<&\\x{fffd}" ~ invisible ~ "]')" %}
    {{ return([
        broken_rule('contains_html', field, "regexp_matches(" ~ after ~ ", '" ~ html ~ "')",
            "regexp_extract(" ~ after ~ ", '" ~ html | replace('[^>]*', '[^>\\s]*') ~ "')", suspicion=unusual),
        broken_rule('control_characters', field, "regexp_matches(" ~ after ~ ", '[" ~ invisible ~ "]')",
            after, detail=named_character(after, '[' ~ invisible ~ ']'), suspicion=unusual),
        broken_rule('replacement_character', field, "contains(" ~ after ~ ", chr(65533))",
            after, "instr(" ~ after ~ ", chr(65533))", suspicion=unusual),
    ]) }}
{% endmacro %}

{#- A value that enum_map does not know; `<field>_unmapped` is its row of the unmapped values. -#}
{% macro unknown_enum_rule(field, after) %}
    {% set unmapped = field.field ~ '_unmapped' %}
    {% set nearest = unmapped ~ '.nearest_value' %}
    {{ return(broken_rule('unknown_enum', field, unmapped ~ '.field is not null', after,
        detail="coalesce('; the nearest one is ''' || " ~ nearest ~ " || ''', which is sent as ''' || "
            ~ unmapped ~ ".suggested_api_value || '''', '')",
        suggestion=nearest,
        suspicion="coalesce(" ~ after ~ ", '') in (select unnest(spellings) from unmapped_values where field = '" ~ field.field ~ "')"
    )) }}
{% endmacro %}

{#- Holds for a staged record whose required cells are the names of their columns. -#}
{% macro repeats_header(fields) -%}
    {%- set names = [] -%}
    {%- for field in fields if field.is_required -%}
        {%- do names.append('staged.' ~ field.field ~ ' = ' ~ sql_literal(field.source_column)) -%}
    {%- endfor -%}
    ({{ names | join(' and ') or 'false' }})
{%- endmacro %}

{#- The suspicions of the rules over one relation, as one condition. -#}
{% macro suspicions(rules, relation) -%}
    {%- set found = [] -%}
    {%- for rule in rules if relation ~ '.' in rule.suspicion and rule.suspicion not in found -%}
        {%- do found.append(rule.suspicion) -%}
    {%- endfor -%}
    {{ found | join('\n        or ') or 'false' }}
{%- endmacro %}

{#- The records that some suspicion holds for, as `staged`, with all that the rules look at: their cells, what they are
    duplicates of, and the row of the unmapped values for each enum. -#}
{% macro examined_records(fields) -%}
    from suspects as staged
    inner join suspect_cells as source_records on staged.record_number = source_records.record_number
    left join duplicates on staged.record_number = duplicates.record_number
    {%- for field in fields if field.is_enum %}
    left join unmapped_values as {{ field.field }}_unmapped
        on
            {{ field.field }}_unmapped.field = '{{ field.field }}'
            and {{ field.field }}_unmapped.value = lower(coalesce(staged.{{ field.field }}, ''))
            and list_contains({{ field.field }}_unmapped.spellings, coalesce(staged.{{ field.field }}, ''))
    {%- endfor %}
{%- endmacro %}

{#- The columns of a broken rule as one struct: of the one among `rules` whose place, from 1, is `chosen`. -#}
{% macro rule_columns(rules, chosen='1') -%}
    {
    {%- for name in rules[0].columns %}
        {%- set cases = [] -%}
        {%- for rule in rules -%}
            {%- do cases.append('when ' ~ loop.index ~ ' then ' ~ rule.columns[name]) if rule.columns[name] | trim != 'null' -%}
        {%- endfor %}
        '{{ name }}': cast(
            {{ 'case ' ~ chosen ~ '\n            ' ~ cases | join('\n            ') ~ '\n            end' if cases else 'null' }}
            as {{ 'bigint' if name in ('count', 'allowed') else 'varchar' }}
        ){{ ',' if not loop.last }}
    {%- endfor %}
    }
{%- endmacro %}

{#- A row with the place, from 1, of every rule that a record breaks: only of the `sole` ones where one of them is broken,
    else of all the others, which are counted on from those. -#}
{% macro unnest_places(sole, others) -%}
    {%- set lists = [] -%}
    {%- for rules, first in [(sole, 1), (others, 1 + sole | length)] -%}
        {%- set cases = [] -%}
        {%- for rule in rules -%}
            {%- do cases.append('case when ' ~ rule.condition ~ ' then ' ~ (first + loop.index0) ~ ' end') -%}
        {%- endfor -%}
        {%- do lists.append('list_filter([\n            ' ~ cases | join(',\n            ')
            ~ '\n        ], lambda place: place is not null)') -%}
    {%- endfor -%}
    unnest(coalesce(nullif({{ lists[0] }}, []), {{ lists[1] }}))
{%- endmacro %}

{#- The closing CTE of an issues model: each broken rule with severity, message and remedy from issue_codes, their
    {placeholders} filled. The value is filled in last, so that a cell cannot pose as a placeholder. -#}
{% macro explained_issues(entity, issues, staged) %}
{%- set key = key_field(card(entity).fields).field -%}
, codes as (
    select * from {{ ref('issue_codes') }}
),

explained as (
    select
        staged.source_file,
        staged.source_sha256,
        staged.record_number,
        staged.line_number,
        staged.record_hash,
        staged.{{ key }} as reference_number,
        codes.severity,
        issues.rule.code as code,
        issues.rule.field as field,
        left(issues.rule.value, 80) as value,
        issues.rule.count as counted,
        issues.rule.allowed as allowed,
        issues.rule.suggestion as suggestion,
        {{ filled_template('codes.message', 'issues.rule', entity) }} as message,
        {{ filled_template('codes.how_to_fix', 'issues.rule', entity) }} as how_to_fix
    from {{ issues }} as issues
    inner join {{ staged }} as staged on issues.record_number = staged.record_number
    left join codes on issues.rule.code = codes.code
)

select * from explained
{% endmacro %}

{#- A template of issue_codes with its {placeholders} filled from a broken rule; a long value is cut to 80 characters. -#}
{% macro filled_template(template, rule, entity) -%}
    {%- set fillings = {
        'entity': sql_literal(entity),
        'field': rule ~ '.field',
        'source_column': rule ~ '.source_column',
        'count': rule ~ '.count',
        'limit': rule ~ '.allowed',
        'detail': rule ~ '.detail',
    } -%}
    {%- set ns = namespace(sql=template) -%}
    {%- for placeholder, expression in fillings.items() -%}
        {%- set ns.sql = "replace(" ~ ns.sql ~ ", '{" ~ placeholder ~ "}', coalesce(" ~ expression ~ "::varchar, ''))" -%}
    {%- endfor -%}
    replace({{ ns.sql }}, '{value}', {{ excerpt(rule ~ '.value') }})
{%- endmacro %}
