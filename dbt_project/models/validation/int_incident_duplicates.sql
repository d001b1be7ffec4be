{{ duplicates('incident') }}
