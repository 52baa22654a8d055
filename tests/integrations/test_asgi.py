"""The ASGI middleware, under uvicorn in this process and others, and under hypercorn."""

from __future__ import annotations

import asyncio
import gc
import http.client
import importlib
import importlib.util
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from processes import PATIENCE_SECONDS, wait_until
from web_servers import STATS, Dropped, Told, examples, serving

import gcctl
from gcctl.integrations.asgi import GcctlMiddleware
from gcctl.integrations.request_entry import MARK, Entry
from gcctl.integrations.wsgi import GcctlMiddleware as WsgiMiddleware

uvicorn = pytest.importorskip("uvicorn")

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Event, Receive, Send], Awaitable[None]]

BODY = b"hello " * 1000

# What older versions have for the library `websockets` warns that it is deprecated.
NEW = "uvicorn.protocols.websockets.websockets_sansio_impl"
WEBSOCKETS = "websockets-sansio" if importlib.util.find_spec(NEW) else "wsproto"


def counts() -> tuple[int, int, int]:
    stats = gcctl.stats()
    return stats.requests, stats.failures, stats.in_flight


@contextmanager
def serve(app: App, **options: Any) -> Iterator[int]:
    """uvicorn in a thread of this process; the port."""
    server = uvicorn.Server(
        uvicorn.Config(app, **{"lifespan": "off", "log_config": None, "ws": WEBSOCKETS, **options})
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def get(port: int, path: str = "/") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


async def respond(send: Send, *parts: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


async def hello(scope: Event, receive: Receive, send: Send) -> None:
    await respond(send, BODY)


@pytest.fixture
def installed(no_collection_by_itself: None) -> None:
    gcctl.install("off")


@pytest.mark.usefixtures("installed")
class TestHttp:
    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    @pytest.mark.parametrize("http_", ["h11", "httptools"])
    def test_each_request_counts_once(self, loop: str, http_: str) -> None:
        for needed in (loop, http_):
            pytest.importorskip(needed)
        with serve(GcctlMiddleware(GcctlMiddleware(hello)), loop=loop, http=http_) as port:
            for _ in range(3):
                assert get(port) == (200, BODY)
            wait_until(lambda: counts() == (3, 0, 0))

    def test_streams_are_in_flight_until_their_end(self) -> None:
        go_on = threading.Event()

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await asyncio.to_thread(go_on.wait, PATIENCE_SECONDS)
            await send({"type": "http.response.body", "body": b"second"})

        with serve(GcctlMiddleware(app)) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/")
            response = connection.getresponse()
            assert response.read(5) == b"first"
            assert counts() == (0, 0, 1)
            go_on.set()
            assert response.read() == b"second"
            connection.close()
            wait_until(lambda: counts() == (1, 0, 0))

    def test_failures_pass_through_to_the_server(self) -> None:
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            if scope["path"] == "/half":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"first", "more_body": True})
            raise ValueError("mine")

        with serve(GcctlMiddleware(app), log_level="critical") as port:
            assert get(port)[0] == 500
            wait_until(lambda: counts() == (1, 1, 0))
            with pytest.raises(http.client.IncompleteRead):
                get(port, "/half")
            wait_until(lambda: counts() == (2, 2, 0))

    @pytest.mark.parametrize("notices", [True, False])
    def test_clients_that_go_away_end_their_request(self, notices: bool) -> None:
        async def until_gone(receive: Receive) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            gone = asyncio.create_task(until_gone(receive))
            if notices:  # and cancels what it does, as Starlette's streams do
                streaming = asyncio.create_task(stream(send))
                await gone
                streaming.cancel()
                await streaming
            else:
                while not gone.done():
                    await send({"type": "http.response.body", "body": BODY, "more_body": True})
                    await asyncio.sleep(0)

        async def stream(send: Send) -> None:
            while True:
                await send({"type": "http.response.body", "body": BODY, "more_body": True})
                await asyncio.sleep(0)

        with serve(GcctlMiddleware(app), log_level="critical") as port:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                client.recv(100)
            wait_until(lambda: counts() == (1, 0, 0))

    def test_cancelled_ones_end_without_a_failure(self) -> None:
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await asyncio.sleep(PATIENCE_SECONDS)

        async def main() -> None:
            task = asyncio.ensure_future(
                GcctlMiddleware(app)({"type": "http"}, None, None)  # type: ignore[arg-type]
            )
            await asyncio.sleep(0)
            assert counts() == (0, 0, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
            assert counts() == (1, 0, 0)

        asyncio.run(main())

    def test_without_a_loop_of_asyncio(self) -> None:
        """Driven by hand, as by another kind of event loop."""

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            GcctlMiddleware(app)({"type": "http"}, None, None).send(None)  # type: ignore[arg-type]
        assert counts() == (1, 1, 0)

    def test_one_that_nobody_finishes_ends_when_it_is_dropped(self) -> None:
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await asyncio.Future()

        async def main() -> None:
            coroutine = GcctlMiddleware(app)({"type": "http"}, None, None)  # type: ignore[arg-type]
            coroutine.send(None)
            assert counts() == (0, 0, 1)
            coroutine.close()
            await asyncio.sleep(0)

        asyncio.run(main())
        assert counts() == (1, 0, 0)

    def test_pauses_inside_are_told(self) -> None:
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            entry: Entry = scope[MARK]
            gc.collect()
            await respond(send, json.dumps(entry.gc_pause_ns).encode())

        with serve(GcctlMiddleware(app)) as port:
            told = int(get(port)[1])
        assert 0 < told <= gcctl.stats().pause_total_ns

    def test_other_scopes_pass(self) -> None:
        seen: list[str] = []

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            seen.append(scope["type"])

        asyncio.run(GcctlMiddleware(app)({"type": "new"}, None, None))  # type: ignore[arg-type]
        assert seen == ["new"]
        assert counts() == (0, 0, 0)


BRIDGES = {
    "a2wsgi": "a2wsgi.WSGIMiddleware",
    "asgiref": "asgiref.wsgi.WsgiToAsgi",
    "starlette": "starlette.middleware.wsgi.WSGIMiddleware",
}


@pytest.mark.usefixtures("installed")
@pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi is deprecated")
class TestBridges:
    """Applications of WSGI in a server of ASGI, both with a middleware of ours."""

    @pytest.fixture(params=BRIDGES)
    def bridge(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Callable[[Any], App]]:
        module, _, name = BRIDGES[request.param].rpartition(".")
        pytest.importorskip(request.param)
        with ExitStack() as ends:  # their threads would stay
            if request.param == "asgiref":
                pool = ends.enter_context(ThreadPoolExecutor(1))
                monkeypatch.setattr("asgiref.sync.SyncToAsync.single_thread_executor", pool)

            def bridged(app: Any) -> App:
                made: App = getattr(importlib.import_module(module), name)(app)
                if hasattr(made, "executor"):
                    ends.callback(made.executor.shutdown)
                return made

            yield bridged

    def test_each_request_counts_once(self, bridge: Callable[[Any], App]) -> None:
        marks: list[Entry] = []

        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
            marks.append(environ[MARK])
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield from (BODY[:10], BODY[10:])

        with serve(GcctlMiddleware(bridge(WsgiMiddleware(app)))) as port:
            for _ in range(3):
                assert get(port) == (200, BODY)
            wait_until(lambda: counts() == (3, 0, 0))
        assert len({id(mark) for mark in marks}) == 3

    def test_failures_count_once(self, bridge: Callable[[Any], App]) -> None:
        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
            raise ValueError("mine")

        with serve(GcctlMiddleware(bridge(WsgiMiddleware(app))), log_level="critical") as port:
            assert get(port)[0] == 500
            wait_until(lambda: counts() == (1, 1, 0))

    def test_what_outlives_its_request_has_requests_of_its_own(self) -> None:
        """A task that goes on has the context of the request that has begun it."""
        tasks: list[asyncio.Task[None]] = []
        go_on = asyncio.Event()

        async def later() -> None:
            await go_on.wait()
            WsgiMiddleware(lambda *_: [])({}, print).close()  # type: ignore[attr-defined]

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            tasks.append(asyncio.create_task(later()))

        async def main() -> None:
            WsgiMiddleware(app)  # type: ignore[arg-type]
            await GcctlMiddleware(app)({"type": "http"}, None, None)  # type: ignore[arg-type]
            assert counts() == (1, 0, 0)
            go_on.set()
            await tasks[0]
            assert counts() == (2, 0, 0)

        asyncio.run(main())


class TestWhen:
    """What is due waits for the next turn of the loop, everything else does not."""

    def in_one_turn(self, requests: int) -> list[str]:
        """The order of what happens when so many requests are ready in the same turn."""
        order: list[str] = []

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await asyncio.sleep(0)
            order.append("answer")

        def note(phase: str, info: dict[str, int]) -> None:
            if phase == "start":
                order.append("collection")

        async def main() -> None:
            middleware = GcctlMiddleware(app)
            await asyncio.gather(
                *(middleware({"type": "http"}, None, None) for _ in range(requests))  # type: ignore[arg-type]
            )
            await asyncio.sleep(0)

        gc.callbacks.append(note)
        try:
            asyncio.run(main())
        finally:
            gc.callbacks.remove(note)
        return order

    def test_all_that_is_ready_is_answered_before_the_pause(self) -> None:
        gcctl.install("production", gen0_every=3, gen1_every=None, gen2_every=None)
        order = self.in_one_turn(4)
        assert order[: order.index("collection")] == ["answer"] * 4
        assert counts() == (4, 0, 0)

    def test_what_does_nothing_is_passed_at_once(self) -> None:
        gcctl.install("off", check_interval="1h")
        seen: list[tuple[int, int, int]] = []

        async def app(scope: Event, receive: Receive, send: Send) -> None: ...

        async def main() -> None:
            await GcctlMiddleware(app)({"type": "http"}, None, None)  # type: ignore[arg-type]
            seen.append(counts())

        asyncio.run(main())
        assert seen == [(1, 0, 0)]

    def test_the_client_has_its_answer_and_the_end_of_the_connection_before(self) -> None:
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            Dropped(told.collected)
            await respond(send, BODY)

        told = Told()
        gcctl.install("production")  # generation 0 at each boundary
        with serve(GcctlMiddleware(app)) as port:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n")
                received = b""
                while part := client.recv(65536):  # to the end of the connection
                    received += part
            assert BODY in received
            told.client_has_all.set()
            wait_until(lambda: told.seen)
        assert told.seen == [True]

    def test_a_server_answers_a_failure_before(self) -> None:
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            Dropped(told.collected)
            raise ValueError("mine")

        told = Told()
        gcctl.install("production")
        with serve(GcctlMiddleware(app), log_level="critical") as port:
            assert get(port)[0] == 500
            told.client_has_all.set()
            wait_until(lambda: told.seen)
        assert told.seen == [True]


class TestWebsocket:
    """Over a real connection, with the client of the library `websockets`."""

    @pytest.fixture
    def connect(self) -> Callable[[int], Any]:
        client = pytest.importorskip("websockets.sync.client")
        return lambda port: client.connect(f"ws://127.0.0.1:{port}/", proxy=None)

    @pytest.fixture(autouse=True)
    def installed(self, no_collection_by_itself: None) -> None:
        gcctl.install("off")

    def test_each_event_is_a_request_and_waiting_is_none(
        self, connect: Callable[[int], Any]
    ) -> None:
        marks: list[Entry] = []

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            assert (await receive())["type"] == "websocket.connect"
            assert counts()[2] == 1
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                assert counts()[2] == 1
                marks.append(scope[MARK])
                if event["text"] != "quiet":
                    await send({"type": "websocket.send", "text": event["text"]})

        with serve(GcctlMiddleware(GcctlMiddleware(app))) as port:
            with connect(port) as client:
                wait_until(lambda: counts() == (1, 0, 0))  # the handshake
                for number in range(3):
                    client.send(str(number))
                    assert client.recv() == str(number)
                wait_until(lambda: counts() == (4, 0, 0))
                client.send("quiet")  # over when it waits for the next
                wait_until(lambda: counts() == (5, 0, 0))
            wait_until(lambda: counts() == (6, 0, 0))  # the end
        assert len({id(mark) for mark in marks}) == 4
        assert all(mark.left for mark in marks)

    def test_what_is_sent_unasked_is_a_request_by_itself(
        self, connect: Callable[[int], Any]
    ) -> None:
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            for number in range(3):
                await send({"type": "websocket.send", "text": str(number)})
            assert counts() == (4, 0, 0)
            await receive()

        with serve(GcctlMiddleware(app)) as port, connect(port) as client:
            assert [client.recv() for _ in range(3)] == ["0", "1", "2"]
            client.close()
            wait_until(lambda: counts() == (5, 0, 0))

    @pytest.mark.parametrize("answered", [False, True])
    def test_failures_pass_through_and_count(
        self, connect: Callable[[int], Any], answered: bool
    ) -> None:
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            if answered:
                await send({"type": "websocket.send", "text": "so far"})
            raise ValueError("mine")

        with serve(GcctlMiddleware(app), log_level="critical") as port, connect(port) as client:
            client.send("hello")
            with suppress(Exception):  # 1011
                while True:
                    client.recv()
            wait_until(lambda: counts() == (3 if answered else 2, 1, 0))

    def test_refused_ones_are_one_request(self, connect: Callable[[int], Any]) -> None:
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.close"})

        with serve(GcctlMiddleware(app)) as port:
            with pytest.raises(Exception, match="403"):
                connect(port)
            wait_until(lambda: counts() == (1, 0, 0))


class Lifespan:
    """An application that notes what is installed in each of its phases."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        self.fails_in = ""

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._note("request")
            await hello(scope, receive, send)
            return
        for phase in ("startup", "shutdown"):
            event = await receive()
            assert event["type"] == f"lifespan.{phase}"
            self._note(phase)
            await send({"type": f"lifespan.{phase}.complete"})

    def _note(self, phase: str) -> None:
        self.seen.append(gcctl.stats().policy)
        if self.fails_in == phase:
            raise ValueError("mine")


class TestLifespan:
    def test_installs_after_startup_and_uninstalls_after_shutdown(self) -> None:
        app = Lifespan()
        middleware = GcctlMiddleware(app, install={"policy": "production"})
        for _ in range(2):
            with serve(middleware, lifespan="on") as port:
                assert gcctl.stats().policy == "production"
                assert get(port) == (200, BODY)
            assert gcctl.stats().policy is None
        assert app.seen == [None, "production", "production"] * 2

    def test_without_settings_installs_nothing(self) -> None:
        app = Lifespan()
        with serve(GcctlMiddleware(app), lifespan="on") as port:
            get(port)
        assert app.seen == [None] * 3

    def test_where_none_comes_the_first_request_installs(self) -> None:
        app = Lifespan()
        with serve(GcctlMiddleware(app, install={"policy": "off"}), lifespan="off") as port:
            assert gcctl.stats().policy is None
            get(port)
        assert app.seen == ["off"]
        assert gcctl.stats().policy == "off"

    def test_leaves_what_somebody_else_has_installed(self) -> None:
        app = Lifespan()
        controller = gcctl.install("off")
        with serve(GcctlMiddleware(app, install={"policy": "production"}), lifespan="on") as port:
            get(port)
        assert app.seen == ["off"] * 3
        assert controller.installed

    @pytest.mark.parametrize("phase", ["startup", "shutdown"])
    def test_failures_pass_through(self, phase: str) -> None:
        app = Lifespan()
        app.fails_in = phase
        events: list[str] = []

        async def receive() -> Event:
            return {"type": f"lifespan.{'shutdown' if events else 'startup'}"}

        async def send(event: Event) -> None:
            events.append(event["type"])

        with pytest.raises(ValueError, match="mine"):
            asyncio.run(GcctlMiddleware(app, install={})({"type": "lifespan"}, receive, send))
        assert gcctl.stats().policy == (None if phase == "startup" else "auto")

    def test_settings_are_checked_before(self) -> None:
        with pytest.raises(gcctl.ConfigError, match="max_pause"):
            GcctlMiddleware(hello, install={"max_pause": "soon"})


SOURCE = (
    STATS
    + """
from gcctl.integrations.asgi import GcctlMiddleware

async def answer(scope, receive, send):
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": counters()})

app = GcctlMiddleware(answer, install={"policy": "production"})
"""
)

COMMANDS = {
    "uvicorn": ["uvicorn", "--fd", "FD", "app:app"],
    "hypercorn": ["hypercorn", "-b", "fd://FD", "app:app"],
    "hypercorn on trio": ["hypercorn", "-k", "trio", "-b", "fd://FD", "app:app"],
}


@pytest.mark.parametrize("server", COMMANDS)
def test_servers_in_processes_of_their_own(server: str, tmp_path: Path) -> None:
    command = COMMANDS[server]
    pytest.importorskip(command[0])
    if "trio" in command:
        pytest.importorskip("trio")
    with serving(tmp_path, *command, source=SOURCE) as running:
        for number in range(3):
            stats = running.wait_for(in_flight=1)
            assert stats["policy"] == "production"
            assert stats["requests"] >= number
        assert stats["collections"] == stats["requests"]
        assert stats["failures"] == stats["unmatched_exits"] == stats["faults"] == 0
    assert "Traceback" not in running.log


def test_the_example_runs(tmp_path: Path) -> None:
    source, *_ = examples("asgi.md")
    with serving(tmp_path, "uvicorn", "--fd", "FD", "app:app", source=source) as server:
        answer = server.get("/")
    assert json.loads(answer.body)["gc_pause_ns"] >= 0
    assert "Traceback" not in server.log
