"""Django: an app, `INSTALLED_APPS = ["gcctl.integrations.django", …]`, or its middleware alone."""

from __future__ import annotations

from gcctl._base.extras import require

require("django", "4.2", extra="django")

from gcctl.integrations.django.middleware import GcctlMiddleware  # noqa: E402

__all__ = ["GcctlMiddleware"]
