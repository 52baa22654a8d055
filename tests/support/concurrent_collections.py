"""Where concurrent collections can be, and what tests of them need."""

from __future__ import annotations

import pytest

from gcctl._concurrent.coordinator import coordinator

concurrent_only = pytest.mark.skipif(bool(coordinator.missing), reason=coordinator.missing)
fallback_only = pytest.mark.skipif(
    not coordinator.missing, reason="here full collections can be concurrent"
)
