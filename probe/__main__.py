"""`python -m probe`, the contract probe."""

import sys
from importlib import import_module

from loader.interrupt import end_on_signals, ended


def main(prog: str = "python -m probe") -> int:
    """Carry out one command line; return the exit code."""
    end_on_signals()
    return int(import_module("probe.cli").main(prog=prog))


if __name__ == "__main__":
    sys.exit(ended(main()))
