{{ unmapped_values('complaint') }}
