"""Where the tests are, and the source tree that they may be in."""

from __future__ import annotations

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
TESTS = SUPPORT.parent
ROOT = TESTS.parent
BENCH = ROOT / "bench"
DOCS = ROOT / "docs"
