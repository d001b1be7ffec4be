{{ issues('complaint') }}
