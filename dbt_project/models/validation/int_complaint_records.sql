{{ records('complaint') }}
