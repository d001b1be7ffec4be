with cards as (
    {{ published_fields() }}
),

enum_values as (
    select
        entity,
        field,
        list(distinct api_value order by api_value) as enum_values
    from {{ ref('enum_map') }}
    group by entity, field
),

fields as (
    select
        cards.*,
        enum_values.enum_values
    from cards
    left join enum_values
        on
            cards.entity = enum_values.entity
            and cards.field = enum_values.field
            and cards.is_enum
)

select * from fields
