-- Read by the loader, as the payload is.
-- depends_on: {{ ref('int_incident_former_hashes') }}
{{ payload('incident') }}
