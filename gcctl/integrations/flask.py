"""Flask: an extension, `Gcctl(app)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gcctl._base.errors import ConfigError, GcctlError
from gcctl._base.extras import require
from gcctl.integrations.request_entry import note_failure
from gcctl.integrations.wsgi import GcctlMiddleware

require("flask", "2.3", extra="flask")

import flask  # noqa: E402

__all__ = ["Gcctl"]


class Gcctl:
    """`Gcctl(app)`, or `extension = Gcctl()` and later `extension.init_app(app)`.

    Each request of the application is a request of gcctl, with its boundary when the response is
    closed. The first request in a process installs gcctl there, unless somebody else has. The
    fields of `gcctl.Config` come from `app.config["GCCTL"]` (a mapping; None: install nothing) and
    from `config`, which wins. They are checked at once: raises ConfigError.
    """

    def __init__(self, app: flask.Flask | None = None, **config: Any) -> None:
        self._config = config
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Set the application up. A second call, by this or another `Gcctl`, does nothing. Raises
        GcctlError if it has other settings than the first."""
        first = app.extensions.get("gcctl")
        if first is not None:
            if first._config != self._config:
                raise GcctlError(
                    f"gcctl.integrations.flask: {app!r} is set up already with {first._config}, "
                    f"not with {self._config}"
                )
            return
        settings = app.config.get("GCCTL", {})
        if settings is not None and not isinstance(settings, Mapping):
            raise ConfigError(
                f"app.config['GCCTL']: {settings!r} is not accepted; "
                f"expected a mapping of fields, or None"
            )
        install = None if settings is None else {**settings, **self._config}
        app.wsgi_app = GcctlMiddleware(app.wsgi_app, install=install)
        app.extensions["gcctl"] = self
        # Flask turns an exception into a response, so the middleware does not see it.
        flask.got_request_exception.connect(_note_failure, app)


def _note_failure(sender: flask.Flask, exception: BaseException, **_: Any) -> None:
    note_failure(flask.request.environ, exception)
