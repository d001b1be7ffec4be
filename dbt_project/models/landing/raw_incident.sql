{{ landed('incident') }}
