"""Posts validated records to the staging API and accounts for every one of them."""

__version__ = "0.1.0"
