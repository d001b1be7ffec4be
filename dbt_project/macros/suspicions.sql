{#- The suspicions of the rules over one relation, as one condition. -#}
{% macro suspicions(rules, relation) -%}
    {%- set found = [] -%}
    {%- for rule in rules if relation ~ '.' in rule.suspicion and rule.suspicion not in found -%}
        {%- do found.append(rule.suspicion) -%}
    {%- endfor -%}
    {{ found | join('\n        or ') or 'false' }}
{%- endmacro %}
