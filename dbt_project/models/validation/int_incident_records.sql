{{ records('incident') }}
