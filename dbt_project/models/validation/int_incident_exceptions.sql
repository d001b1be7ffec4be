{{ excepted_records('incident') }}
