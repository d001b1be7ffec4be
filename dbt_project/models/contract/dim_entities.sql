with entities as (
    {{ published_entities() }}
)

select * from entities
