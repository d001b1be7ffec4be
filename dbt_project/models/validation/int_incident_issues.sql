{{ issues('incident') }}
