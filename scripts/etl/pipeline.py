"""The runbook's pipeline command."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from loader.__main__ import main
from loader.interrupt import ended

sys.exit(ended(main(prog="python scripts/etl/pipeline.py")))
