"""Where things are kept: the DuckDB file, its lock, and files that are written whole or not at all."""
