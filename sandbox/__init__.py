"""A local staging API on loopback: answers as the platform was measured to, faults included on demand.

`python -m sandbox serve` starts it, `python -m sandbox token` prints a token for it, and
`sandbox.process.running_sandbox` runs one for the length of a test or of the demo.
"""
