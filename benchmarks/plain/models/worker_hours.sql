select worker_id, worker_name, site_id, count(shift_id) as shifts, coalesce(sum(hours), 0) as hours
from {{ ref('stg_workers') }} left join {{ ref('stg_shifts') }} using (worker_id)
group by all
