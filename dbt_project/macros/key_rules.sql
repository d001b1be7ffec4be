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
