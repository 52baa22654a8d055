"""Starlette and FastAPI: the middleware, `app.add_middleware(GcctlMiddleware)`, and a lifespan."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from gcctl._base.extras import require
from gcctl.integrations._install import checked, install_here, uninstall_here
from gcctl.integrations.asgi import GcctlMiddleware

require("starlette", "0.40", extra="fastapi")

__all__ = ["GcctlMiddleware", "lifespan"]

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]


def lifespan(own: Lifespan | None = None, /, **config: Any) -> Lifespan:
    """For `FastAPI(lifespan=…)` or `Starlette(lifespan=…)`: gcctl is installed while the
    application runs, unless somebody else has installed it.

    `own` is the lifespan that the application would have without gcctl. gcctl is installed after
    its start, so that what it loads is tenured, and uninstalled after its end. `config` are fields
    of `gcctl.Config`. They are checked at once: raises ConfigError.
    """
    settings = checked(config)

    @asynccontextmanager
    async def installed(app: Any) -> AsyncGenerator[Any, None]:
        controller = None
        try:
            async with (own or _nothing)(app) as state:
                controller = install_here(settings, "gcctl.integrations.fastapi.lifespan()")
                yield state
        finally:
            if controller is not None:
                uninstall_here(controller)

    return installed


@asynccontextmanager
async def _nothing(app: Any) -> AsyncGenerator[None, None]:
    yield
