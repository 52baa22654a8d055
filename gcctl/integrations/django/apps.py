"""The app."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from gcctl.integrations.django.checks import check_middleware, check_settings
from gcctl.integrations.django.middleware import PATH, listen


class GcctlConfig(AppConfig):
    """Puts the middleware in front of all others, unless it is somewhere in `MIDDLEWARE` already,
    and has the first request that is served install gcctl.

    Not at once: commands, the autoreloader and masters that fork load the apps as well.
    """

    name = "gcctl.integrations.django"
    label = "gcctl"
    verbose_name = "gcctl"

    def ready(self) -> None:
        # No handler has been made yet, so none has read the list.
        if PATH not in settings.MIDDLEWARE:
            settings.MIDDLEWARE = [PATH, *settings.MIDDLEWARE]
        listen(default={})
        checks.register(check_settings)
        checks.register(check_middleware)
