"""The app."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from gcctl.integrations.django.checks import check_middleware, check_settings
from gcctl.integrations.django.middleware import PATH, listen


class GcctlConfig(AppConfig):
    """Puts the middleware first in `MIDDLEWARE`, unless it is there already, and has the first
    request that is served install gcctl.

    It does not install gcctl at once, because commands, the autoreloader and masters that fork load
    the apps too.
    """

    name = "gcctl.integrations.django"
    label = "gcctl"
    verbose_name = "gcctl"

    def ready(self) -> None:
        # In time: no handler has been made yet that could have read the list.
        if PATH not in settings.MIDDLEWARE:
            settings.MIDDLEWARE = [PATH, *settings.MIDDLEWARE]
        listen(default={})
        checks.register(check_settings)
        checks.register(check_middleware)
