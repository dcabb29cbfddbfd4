"""`python -m smart_demo`: the engine from a shell."""

import sys

from smart_demo.cli import main

sys.exit(main())
