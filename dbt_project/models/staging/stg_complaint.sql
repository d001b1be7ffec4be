{{ staged('complaint') }}
