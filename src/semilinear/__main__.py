"""Run the command line as ``python -m semilinear``."""

from __future__ import annotations

import sys

from semilinear.cli import main

if __name__ == "__main__":
    sys.exit(main())
