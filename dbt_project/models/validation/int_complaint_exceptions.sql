{{ excepted_records('complaint') }}
