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
