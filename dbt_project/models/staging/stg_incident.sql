{{ staged('incident') }}
