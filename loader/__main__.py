"""`python -m loader`, the pipeline command."""

import sys

from loader.cli import main

sys.exit(main())
