"""ASGI: http, websocket and lifespan.

The boundary of an http request comes when the application has returned, so after its last `send()`
was awaited. If something is to be collected there, it waits for the next turn of the event loop. So
what is ready in this turn (answers to other requests, closing this connection) is done before the
pause. Nearly always there is nothing to collect, and the boundary comes at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import gcctl
from gcctl._process.twins import core
from gcctl.integrations._install import Settings, checked, expected, install_here, uninstall_here
from gcctl.integrations.request_entry import MARK, Bridges, Entry, begin, outer

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_due = core.due


class GcctlMiddleware:
    """`app = GcctlMiddleware(app)`: each request of this ASGI application is a request of gcctl.

    `install` has it install gcctl when the application has started, and uninstall it when the
    application has shut down. If no lifespan events come, the first request installs it. It does
    nothing where somebody else has installed gcctl. The value is fields of `gcctl.Config` (`{}` for
    all the defaults), a Config, or the path of a TOML file. It is checked at once: raises
    ConfigError.
    """

    def __init__(self, app: App, *, install: Settings | None = None) -> None:
        self.app = app
        self._settings = None if install is None else checked(install)
        self._to_install = True  # or to ask whether somebody else has
        self._controller: gcctl.Controller | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._to_install and scope["type"] != "lifespan":
            self._install()
        if scope["type"] != "http" or MARK in scope:
            await self._other(scope, receive, send)
            return
        # As enter() does, without server hooks: they are for servers with a thread per request.
        entry = scope[MARK] = begin()
        if Bridges.possible:
            outer.set(entry)
        try:
            await self.app(scope, receive, send)
        except BaseException as error:
            _leave(entry, error)
            raise
        if _due():
            _leave(entry)
        else:
            entry.leave()

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and MARK not in scope:
            await _Conversation(scope, receive, send).run(self.app)
            return
        if scope["type"] == "lifespan" and self._settings is not None:
            send = self._around_lifespan(send)
        await self.app(scope, receive, send)

    def _around_lifespan(self, send: Send) -> Send:
        async def sending(event: Event) -> None:
            if event["type"] == "lifespan.startup.complete":
                self._install()
            elif event["type"].startswith("lifespan.shutdown."):
                self._uninstall()
            await send(event)

        return sending

    def _install(self) -> None:
        self._to_install = self._settings is None and expected.ask()
        if self._settings is not None and self._controller is None:
            self._controller = install_here(self._settings, "the ASGI middleware")

    def _uninstall(self) -> None:
        controller, self._controller = self._controller, None
        self._to_install = True  # an application may be started again
        if controller is not None:
            uninstall_here(controller)


class _Conversation:
    """A websocket, which may last for days. Each event is a request, from when it was received
    until an answer is sent, or until the application waits for the next event. A message that the
    application sends unasked is a request by itself. A websocket that waits is not in flight."""

    __slots__ = ("_connected", "_entry", "_receive", "_scope", "_send")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._connected = False
        self._entry: Entry | None = None

    async def run(self, app: App) -> None:
        self._begin()  # the handshake, which is the first event
        try:
            await app(self._scope, self.receive, self.send)
        except BaseException as error:
            _leave(self._entry or self._begin(), error)
            raise
        self._end()

    async def receive(self) -> Event:
        if self._connected:
            self._end()
        event = await self._receive()
        self._connected = True
        if self._entry is None:
            self._begin()
        return event

    async def send(self, event: Event) -> None:
        await self._send(event)
        if self._entry is None:
            self._begin()
        self._end()

    def _begin(self) -> Entry:
        entry = self._entry = self._scope[MARK] = begin()
        return entry

    def _end(self) -> None:
        entry, self._entry = self._entry, None
        if entry is not None:
            _leave(entry)


def _leave(entry: Entry, error: BaseException | None = None) -> None:
    """The boundary: now if there is nothing to collect, else in the next turn of the loop. After an
    exception always then, so that the server's answer comes first."""
    if error is not None:
        entry.fail(error)
    elif not _due():
        entry.leave()
        return
    try:
        asyncio.get_running_loop().call_soon(entry.leave)
    except RuntimeError:  # an event loop that is not asyncio's, or closed
        entry.leave()
