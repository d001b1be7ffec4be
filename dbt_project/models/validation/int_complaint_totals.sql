{{ totals('complaint') }}
