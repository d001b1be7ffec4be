select site_id, site_name, coalesce(sum(hours), 0) as hours
from {{ ref('stg_sites') }} left join {{ ref('worker_hours') }} using (site_id)
group by all
