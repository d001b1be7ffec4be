{{ landed('complaint') }}
