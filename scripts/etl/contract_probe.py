"""The runbook's contract probe command."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from loader.interrupt import ended
from probe.__main__ import main

sys.exit(ended(main(prog="python scripts/etl/contract_probe.py")))
