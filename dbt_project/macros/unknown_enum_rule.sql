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
