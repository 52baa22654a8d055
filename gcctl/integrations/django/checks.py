"""What `manage.py check` says about gcctl's settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning

from gcctl._base.errors import ConfigError
from gcctl.integrations._install import checked
from gcctl.integrations.django.middleware import PATH


def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """gcctl.E001: a value in `settings.GCCTL`, or in an environment variable of gcctl, is not
    accepted."""
    given = getattr(settings, "GCCTL", {})
    try:
        if given is not None:
            checked(given)
    except ConfigError as error:
        hint = "Nothing would be installed; see docs/configuration.md of gcctl."
        return [Error(str(error), hint=hint, obj="settings.GCCTL", id="gcctl.E001")]
    return []


def check_middleware(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """gcctl.W001: the middleware is there more than once. gcctl.I001: it is not the first.

    The second is an Info and no Warning, because other middleware wants to be first too (such as
    SecurityMiddleware). A project that checks with `--fail-level WARNING` could not have both.
    """
    there = list(settings.MIDDLEWARE)
    found: list[CheckMessage] = []
    if there.count(PATH) > 1:
        text = f"{PATH} is in MIDDLEWARE {there.count(PATH)} times."
        hint = "Requests count once all the same; the app needs none there."
        found.append(Warning(text, hint=hint, obj="settings.MIDDLEWARE", id="gcctl.W001"))
    if PATH in there[1:] and there[0] != PATH:
        text = f"{PATH} is not the first in MIDDLEWARE."
        hint = "What those before it do is not inside the request, what they answer is none."
        found.append(Info(text, hint=hint, obj="settings.MIDDLEWARE", id="gcctl.I001"))
    return found
