{{ changes('incident') }}
