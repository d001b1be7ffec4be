{{ totals('incident') }}
