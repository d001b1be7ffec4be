"""Verifies, by reading only, that an API is the one that the cards describe."""
