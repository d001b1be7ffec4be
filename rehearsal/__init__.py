"""A rehearsal of the import on the sandbox: everything goes wrong, and a receipt says what became of each record.

`python -m rehearsal` runs it; `make rehearse` is the same.
"""
