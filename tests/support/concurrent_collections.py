"""Where concurrent collections can be, and what tests of them need."""

from __future__ import annotations

import pytest

from gcctl._concurrent.coordinator import concurrent

concurrent_only = pytest.mark.skipif(bool(concurrent.missing), reason=concurrent.missing)
fallback_only = pytest.mark.skipif(
    not concurrent.missing, reason="here full collections can be concurrent"
)
