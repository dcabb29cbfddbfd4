"""Run the command line: `python -m smart_demo`."""

import sys

from smart_demo.cli import main

sys.exit(main())
