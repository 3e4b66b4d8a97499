"""`python -m rankbench` is the command `rankbench`."""

import sys

from .bench.cli import main

sys.exit(main())
