select worker_id, site_id, trim(worker_name) as worker_name from {{ ref('workers') }}
