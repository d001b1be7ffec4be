{{ unmapped_values('incident') }}
