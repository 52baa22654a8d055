"""`python bench/service` runs service.run, and the other modules find each other as `service.…`."""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    sys.exit(import_module("service.run").main())
