{{ former_hashes('incident') }}
