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
