-- depends_on: {{ ref('int_incident_records') }}
{{ audit_rows() }}
