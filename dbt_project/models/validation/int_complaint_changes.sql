{{ changes('complaint') }}
