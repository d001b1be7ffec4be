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
