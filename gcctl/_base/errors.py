"""The exceptions that gcctl raises. Each of them is a `GcctlError`."""

from __future__ import annotations

from gcctl._base.public import public


@public
class GcctlError(Exception):
    """Base class of all exceptions that gcctl raises on purpose."""


@public
class ConfigError(GcctlError, ValueError):
    """A configuration that cannot be accepted.

    The message names the value, the field (or the variable or file it came from) and the values
    that would be accepted.
    """
