-- depends_on: {{ ref('fct_incident_payload') }}
{{ audit_rows() }}
