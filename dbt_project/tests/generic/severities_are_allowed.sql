{#- Severities of a card that a rule cannot have, each with what the loader says about it. -#}
{% test severities_are_allowed(model) %}
with codes as (
    select * from {{ ref('issue_codes') }}
),

coded as (
    select
        entity,
        severities,
        unnest(json_keys(severities)) as code
    from {{ model }}
),

asked as (
    select
        entity,
        code,
        severities ->> code as severity
    from coded
),

offenders as (
    select
        'the card of ' || asked.entity || ' gives ' || asked.code || ' the severity ' || coalesce(asked.severity, 'null') || ', but '
        || case
            when codes.code is null then 'there is no such code in data/reference/issue_codes.csv'
            else coalesce('it can be ' || codes.severity || ' or ' || codes.other_severity, 'it is always ' || codes.severity)
        end || '; correct severities in the card' as refusal
    from asked
    left join codes on asked.code = codes.code
    where coalesce(asked.severity not in (codes.severity, codes.other_severity), true)
)

select * from offenders
{% endtest %}
