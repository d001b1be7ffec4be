select site_id, trim(site_name) as site_name from {{ ref('sites') }}
