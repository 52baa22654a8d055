"""The applications of the benchmark `middleware`: `wsgi` and `asgi`.

The environment variable HELLO says what is around them: nothing (plain), the middleware with
nothing due (counted), or the middleware and the default policy (auto).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import gcctl
from gcctl.integrations.asgi import GcctlMiddleware as Asgi
from gcctl.integrations.wsgi import GcctlMiddleware as Wsgi

PLAIN, COUNTED, AUTO = VARIANTS = ("plain", "counted", "auto")

BODY = b"hello\n"


def hello_wsgi(environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]


async def hello_asgi(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


variant = os.environ.get("HELLO", PLAIN)
wsgi: Any = hello_wsgi
asgi: Any = hello_asgi
if variant != PLAIN:
    if variant == COUNTED:
        gcctl.install("off", check_interval="1h")
    else:
        gcctl.install()
    wsgi, asgi = Wsgi(wsgi), Asgi(asgi)
