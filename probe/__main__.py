"""`python -m probe`, the contract probe."""

import sys

from probe.cli import main

sys.exit(main())
