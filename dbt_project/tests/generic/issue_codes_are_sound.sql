{#- Codes that are repeated, lack a cell, or have a stage or severity that nothing knows. -#}
{% test issue_codes_are_sound(model) %}
with codes as (
    select
        *,
        count(*) over (partition by code) as lines
    from {{ model }}
),

offenders as (
    select * exclude (lines)
    from codes
    where
        lines > 1
        or code || stage || severity || meaning || message || how_to_fix is null
        or stage not in ('landing', 'validation')
        or severity not in ('error', 'warning')
        or other_severity not in ('error', 'warning')
)

select * from offenders
{% endtest %}
