-- depends_on: {{ ref('int_incident_issues') }}
{{ audit_rows() }}
