"""One warning where a service is at work and marks no request: its middleware was forgotten.

A script or a batch job marks none either, and that is as it should be. So it is a service only if a
server's or an integration's module is loaded, and the process has a socket that listens.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gcctl._base import log

SECOND_NS: Final = 10**9

LOADING_NS: Final = 10 * SECOND_NS
"""What a process does in this time after `install()` may be the loading of its application."""

INTERVAL_NS: Final = 10 * SECOND_NS
"""Shortest time between two measurements of CPU time."""

SILENT_NS: Final = 30 * SECOND_NS
"""So long after `install()` some request should have ended."""

ACTIVE: Final = 0.02
"""A process that uses this share of a CPU is at work. One that waits for requests uses less."""

SERVERS: Final = (
    "aiohttp.web",
    "cheroot.server",
    "daphne.server",
    "eventlet.wsgi",
    "gevent.pywsgi",
    "granian.server",
    "gunicorn.arbiter",
    "hypercorn.run",
    "tornado.httpserver",
    "uvicorn.server",
    "uwsgi",
    "waitress.server",
    "werkzeug.serving",
    *(f"gcctl.integrations.{name}" for name in ("asgi", "django.middleware", "wsgi")),
)
"""Modules that a process which serves requests has loaded."""

MESSAGE: Final = (
    "no request has ended since gcctl was installed, %d s ago, though this process is at work: "
    "policy %r acts where requests end. If it serves requests, gcctl's middleware or hook is "
    "missing (docs/integrations), or mark them with gcctl.request()"
)


class NoRequests:
    """Watches one installation until its first boundary, or until it has warned."""

    def __init__(
        self,
        policy: str,
        boundaries: Callable[[], int],
        now: Callable[[], int],
        cpu: Callable[[], int] = time.process_time_ns,
        serves: Callable[[], bool] | None = None,
    ) -> None:
        """`boundaries()`: how many there were. `now()` and `cpu()`: nanoseconds. `serves()`:
        whether this process serves requests."""
        self._policy = policy
        self._boundaries = boundaries
        self._now = now
        self._cpu = cpu
        self._serves = serves or _serves
        self.begin()

    def begin(self) -> None:
        """gcctl was installed, or this is a forked child."""
        self._done = self._policy == "off"  # which does nothing at boundaries but count
        self._began_ns = self._now()
        self._check_at_ns = self._began_ns + LOADING_NS
        self._cpu_since: tuple[int, int] | None = None  # when, and what had been used by then

    @property
    def watches(self) -> bool:
        return not self._done

    def is_due(self) -> bool:
        """Whether `check()` has something to do. It is quick, and may be called in a gc
        callback."""
        return not self._done and self._now() >= self._check_at_ns

    def idle(self) -> float | None:
        """As idle work: check. Returns the seconds until the next time; None: it is done."""
        self.check()
        return None if self._done else INTERVAL_NS / SECOND_NS

    def check(self) -> None:
        """Warn if it is time to. Not to be called in a gc callback: it logs."""
        if self._done or self._boundaries():
            self._done = True
            return
        now = self._now()
        if now < self._check_at_ns:
            return
        self._check_at_ns = now + INTERVAL_NS
        used = self._cpu()
        since, self._cpu_since = self._cpu_since, (now, used)
        if since is None:
            return
        silent_ns = now - self._began_ns
        if silent_ns < SILENT_NS or used - since[1] < (now - since[0]) * ACTIVE:
            return
        if self._serves():
            self._done = True
            with suppress(Exception):  # a broken logging setup is no reason to do less
                log.warning(MESSAGE, silent_ns // SECOND_NS, self._policy)


def _serves() -> bool:
    return any(name in sys.modules for name in SERVERS) and _listens()


def _listens() -> bool:
    """Whether this process has a socket that listens. True where the system does not tell."""
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return True
    return any(_is_listening(int(name)) for name in descriptors)


def _is_listening(descriptor: int) -> bool:
    import _socket  # of C: a library may have replaced `socket`, and its sockets do not block

    with suppress(OSError):  # closed by now
        if not os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
            return False
        found = _socket.socket(fileno=descriptor)
        try:
            return bool(found.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN))
        finally:
            found.detach()
    return False
