{{ payload('complaint') }}
