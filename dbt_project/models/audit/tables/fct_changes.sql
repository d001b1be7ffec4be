-- depends_on: {{ ref('int_incident_changes') }}
{{ audit_rows() }}
