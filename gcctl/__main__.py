"""`python -m gcctl`."""

import sys

from gcctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
