{#- Rows without a value in a column of the key that is not `nullable`, or in one of `not_null`, and keys of more than one row.
    A null of a `nullable` column counts as a value. One query says all of it. -#}
{% test primary_key(model, columns, nullable=[], not_null=[]) %}
{% set required = columns | reject('in', nullable) | list + not_null %}
with keys as (
    select {{ (columns + not_null) | join(', ') }} from {{ model }}
),

offenders as (
    select
        {{ columns | join(', ') }},
        'a value is missing' as reason
    from keys
    where {% for column in required %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %}
    union all
    select
        {{ columns | join(', ') }},
        'more than one row' as reason
    from keys
    group by {{ columns | join(', ') }}
    having count(*) > 1
)

select * from offenders
{% endtest %}
