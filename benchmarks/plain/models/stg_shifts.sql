select shift_id, worker_id, began_on, hours from {{ ref('shifts') }} where hours > 0
