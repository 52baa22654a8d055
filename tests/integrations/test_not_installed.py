"""A middleware that sees requests where nobody has installed gcctl: its lifespan was forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import gcctl
from gcctl.integrations import _install
from gcctl.integrations.asgi import GcctlMiddleware as ASGI
from gcctl.integrations.wsgi import GcctlMiddleware as WSGI

WARNING = "gcctl is not installed in this process"


class Clock:
    def __init__(self) -> None:
        self.now_ns = 10**15

    def now(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_install, "core", clock)
    monkeypatch.setattr(_install.expected, "_since_ns", 0)
    monkeypatch.setattr(_install.expected, "_said", False)
    return clock


async def nothing(*_: Any) -> None:
    pass


def asgi(**settings: Any) -> Callable[[], object]:
    app: Any = ASGI(nothing, **settings)
    return lambda: asyncio.run(app({"type": "http"}, nothing, nothing))


def wsgi(**settings: Any) -> Callable[[], object]:
    app: Any = WSGI(lambda environ, start: [b""], **settings)
    return lambda: app({}, print).close()


@pytest.mark.parametrize("middleware", [asgi, wsgi])
class TestWarning:
    def test_comes_once_after_half_a_minute(
        self, middleware: Any, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        request, another = middleware(), middleware()
        for _ in range(29):
            request()
            clock.now_ns += 10**9
        assert WARNING not in caplog.text
        clock.now_ns += 10**9
        for _ in range(20):
            request()
            another()
        assert caplog.text.count(WARNING) == 1
        assert "seen requests for 30 s" in caplog.text

    @pytest.mark.parametrize("when", ["before", "later"])
    def test_not_where_somebody_installs_it(
        self, when: str, middleware: Any, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        request = middleware()
        if when == "later":
            request()
            clock.now_ns += 20 * 10**9
        with gcctl.install("off"):
            request()
        clock.now_ns += 60 * 10**9
        request()
        assert WARNING not in caplog.text

    def test_not_where_it_installs_itself(
        self, middleware: Any, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        request = middleware(install={"policy": "off"})
        for _ in range(3):
            request()
            clock.now_ns += 60 * 10**9
        assert gcctl.stats().requests >= 2
        assert WARNING not in caplog.text

    @pytest.mark.parametrize("value", ["1", "neither yes nor no"])
    def test_not_where_gcctl_is_disabled(
        self,
        value: str,
        middleware: Any,
        clock: Clock,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("GCCTL_DISABLE", value)
        request = middleware()
        for _ in range(3):
            request()
            clock.now_ns += 60 * 10**9
        assert WARNING not in caplog.text
