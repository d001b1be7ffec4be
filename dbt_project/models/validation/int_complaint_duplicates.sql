{{ duplicates('complaint') }}
