"""Starlette and FastAPI applications under uvicorn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from web_servers import STATS, examples, serving

import gcctl

pytest.importorskip("uvicorn")
starlette = pytest.importorskip("starlette")

from gcctl.integrations.fastapi import lifespan  # noqa: E402

ROUTES = """
import asyncio, gc
from contextlib import asynccontextmanager
import gcctl as _gcctl
from gcctl.integrations.fastapi import GcctlMiddleware, lifespan

policies = []

@asynccontextmanager
async def own(app):
    policies.append(_gcctl.stats().policy)
    yield {"mine": 7}
    policies.append(_gcctl.stats().policy)
    print("policies:", policies, flush=True)

async def parts():
    for number in range(5):
        yield str(number)

async def endless():
    while True:
        yield b"x" * 100_000
        await asyncio.sleep(0)
"""

STARLETTE = (
    STATS
    + ROUTES
    + """
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute

async def stats(request):
    assert request.state.mine == 7
    return PlainTextResponse(counters())

def sync(request):
    return PlainTextResponse("sync")

async def fail(request):
    raise ValueError("mine")

async def stream(request):
    return StreamingResponse(parts())

async def unending(request):
    return StreamingResponse(endless())

async def file(request):
    return FileResponse(__file__)

async def background(request):
    return PlainTextResponse("soon", background=BackgroundTask(asyncio.sleep, 0))

async def pauses(request):
    gc.collect()
    return PlainTextResponse(str(request.scope["gcctl.request"].gc_pause_ns))

async def echo(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)

views = [stats, sync, fail, stream, unending, file, background, pauses]
routes = [Route(f"/{view.__name__}", view) for view in views]
inner = Starlette(routes=[Route("/sync", sync)])
inner.add_middleware(GcctlMiddleware)
app = Starlette(
    routes=[*routes, Mount("/inner", inner), WebSocketRoute("/echo", echo)],
    lifespan=lifespan(own, policy="production"),
)
app.add_middleware(GcctlMiddleware)
app.add_middleware(GcctlMiddleware)
"""
)

FASTAPI = (
    STATS
    + ROUTES
    + """
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

app = FastAPI(lifespan=own)
app.add_middleware(GcctlMiddleware, install={"policy": "production"})

@app.get("/stats")
async def stats():
    return Response(counters())

@app.get("/sync")
def sync():
    return Response("sync")

@app.get("/fail")
async def fail():
    raise ValueError("mine")

@app.get("/stream")
async def stream():
    return StreamingResponse(parts())

@app.get("/unending")
async def unending():
    return StreamingResponse(endless())

@app.get("/pauses")
async def pauses(request: Request):
    gc.collect()
    return Response(str(request.scope["gcctl.request"].gc_pause_ns))
"""
)

UVICORN = ["uvicorn", "--fd", "FD", "app:app"]


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
def test_every_request_counts_once(tmp_path: Path, framework: str) -> None:
    pytest.importorskip(framework)
    source = STARLETTE if framework == "starlette" else FASTAPI
    with serving(tmp_path, *UVICORN, source=source) as server:
        paths = ["/sync", "/stream"]
        if framework == "starlette":
            paths += ["/inner/sync", "/background", "/file"]
        assert server.stats()["policy"] == "production"
        for path in paths:
            assert server.get(path).status == 200
        assert server.get("/missing").status == 404
        after = server.wait_for(in_flight=1)
        assert after["requests"] == server.asked - 1
        assert after["failures"] == 0
        assert after["collections"] == after["requests"]
        assert int(server.get("/pauses").body) > 0
        assert server.get("/fail").status == 500
        server.wait_for(in_flight=1, failures=1)
        with server.connect("/unending") as client:
            client.recv(1)
        after = server.wait_for(in_flight=1)
        assert after["unmatched_exits"] == after["faults"] == 0
    assert "Exception ignored" not in server.log
    # From after the start of the application's own lifespan until after its end.
    assert "policies: [None, 'production']" in server.log


def test_websockets_count_by_event(tmp_path: Path) -> None:
    client = pytest.importorskip("websockets.sync.client")
    with serving(tmp_path, *UVICORN, source=STARLETTE) as server:
        with client.connect(f"ws://127.0.0.1:{server.port}/echo", proxy=None) as connection:
            for text in "abc":
                connection.send(text)
                assert connection.recv() == text
            after = server.wait_for(in_flight=1)
            assert after["requests"] == server.asked - 1 + 4  # the handshake, three messages
        after = server.wait_for(in_flight=1)
        assert after["requests"] - server.asked + 1 in (4, 5)  # its end may be still to come


class TestLifespan:
    def test_composes_and_passes_the_state_on(self) -> None:
        seen: list[object] = []

        @asynccontextmanager
        async def own(app: object) -> AsyncIterator[dict[str, int]]:
            seen.append(app)
            yield {"mine": 7}
            seen.append(gcctl.stats().policy)

        async def main() -> None:
            async with lifespan(own, policy="off")("app") as state:
                assert state == {"mine": 7}
                assert gcctl.stats().policy == "off"
            assert gcctl.stats().policy is None

        asyncio.run(main())
        assert seen == ["app", "off"]

    def test_needs_no_other(self) -> None:
        async def main() -> None:
            for _ in range(2):
                async with lifespan(policy="off")("app") as state:
                    assert state is None
                    assert gcctl.stats().policy == "off"
                assert gcctl.stats().policy is None

        asyncio.run(main())

    @pytest.mark.parametrize("phase", ["startup", "running", "shutdown"])
    def test_failures_pass_through(self, phase: str) -> None:
        @asynccontextmanager
        async def own(app: object) -> AsyncIterator[None]:
            assert phase != "startup", "mine"
            yield
            assert phase != "shutdown", "mine"

        async def main() -> None:
            async with lifespan(own, policy="off")("app"):
                assert phase != "running", "mine"

        with pytest.raises(AssertionError, match="mine"):
            asyncio.run(main())
        assert gcctl.stats().policy is None

    def test_leaves_what_somebody_else_has_installed(self) -> None:
        controller = gcctl.install("off")

        async def main() -> None:
            async with lifespan(policy="production")("app"):
                assert gcctl.stats().policy == "off"

        asyncio.run(main())
        assert controller.installed

    def test_settings_are_checked_at_once(self) -> None:
        with pytest.raises(gcctl.ConfigError, match="max_pause"):
            lifespan(max_pause="soon")


def test_the_example_runs(tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    source, *_ = examples("fastapi.md")
    with serving(tmp_path, *UVICORN, source=source) as server:
        assert b"gc_pause_ns" in server.get("/").body
    assert "Traceback" not in server.log
