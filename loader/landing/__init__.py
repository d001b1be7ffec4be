"""Reads a source file: what is a record, what is refused, and how dbt gets it."""
