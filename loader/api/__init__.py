"""The platform's API: one client, what its answers say, the token, the address."""
