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
