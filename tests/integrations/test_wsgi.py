"""The WSGI middleware, under wsgiref in this process and gunicorn in others."""

from __future__ import annotations

import gc
import io
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator

import pytest
from processes import PATIENCE_SECONDS, wait_until
from web_servers import STATS, Answer, Dropped, Server, Told, examples, serving

import gcctl
from gcctl.integrations.request_entry import MARK, Entry, enter_server, leave_server
from gcctl.integrations.wsgi import GcctlMiddleware

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Get = Callable[[App], Answer]

BODY = b"hello " * 1000


def counts() -> tuple[int, int, int]:
    stats = gcctl.stats()
    return stats.requests, stats.failures, stats.in_flight


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *args: object) -> None: ...


class QuietServer(WSGIServer):
    def handle_error(self, *args: object) -> None: ...  # clients that go away

    def connect(self) -> socket.socket:
        """A client that has asked."""
        client = socket.create_connection(("127.0.0.1", self.server_port), PATIENCE_SECONDS)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return client


@pytest.fixture
def server() -> Iterator[QuietServer]:
    """wsgiref's, in a thread; its application is to be set."""
    with make_server("127.0.0.1", 0, as_list, QuietServer, QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def get(server: QuietServer, monkeypatch: pytest.MonkeyPatch) -> Get:
    """What the server's client gets of an application."""
    monkeypatch.setattr("wsgiref.handlers.BaseHandler.log_exception", lambda *args: None)

    def get(app: App) -> Answer:
        server.set_app(app)
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    return get


@pytest.fixture
def installed(no_collection_by_itself: None) -> None:
    gcctl.install("off")


def ok(start_response: Callable[..., Any]) -> Callable[[bytes], object]:
    write: Callable[[bytes], object] = start_response("200 OK", [("Content-Type", "text/plain")])
    return write


# Applications, each with another kind of response.


def as_list(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ok(start_response)
    return [BODY]


def as_tuple(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ok(start_response)
    return (BODY[:10], BODY[10:])


def as_generator(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ok(start_response)
    for index in range(0, len(BODY), 100):
        yield BODY[index : index + 100]


def as_iterator(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ok(start_response)
    return iter([BODY])


class OwnList(list[bytes]):
    """With a `close()`, as responses of frameworks have."""

    closed = 0

    def close(self) -> None:
        OwnList.closed += 1


def as_own_list(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ok(start_response)
    return OwnList([BODY])


def as_file(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ok(start_response)
    response: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(BODY))
    return response


def as_written(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    write = ok(start_response)
    write(BODY[:100])
    return [BODY[100:]]


APPS = [as_list, as_tuple, as_generator, as_iterator, as_own_list, as_file, as_written]


@pytest.mark.usefixtures("installed")
class TestResponses:
    @pytest.mark.parametrize("app", APPS)
    def test_are_the_same_and_count_once(self, app: App, get: Get) -> None:
        plain, ours = get(app), get(GcctlMiddleware(app))
        assert ours.body == plain.body == BODY
        for answer in (plain, ours):
            answer.headers.pop("Date")
        assert ours == plain
        wait_until(lambda: counts() == (1, 0, 0))

    def test_of_one_block_get_their_length_from_the_server(self, get: Get) -> None:
        for app in (as_list, as_own_list):
            assert get(GcctlMiddleware(app)).headers["Content-Length"] == str(len(BODY))
        assert "Content-Length" not in get(GcctlMiddleware(as_generator)).headers

    def test_keep_to_the_specification(self, get: Get) -> None:
        validated = [as_list, as_tuple, as_generator, as_own_list]
        for app in validated:
            checked = validator(GcctlMiddleware(validator(app)))
            assert get(checked).body == BODY
        wait_until(lambda: counts() == (len(validated), 0, 0))

    def test_are_closed_once(self, get: Get) -> None:
        OwnList.closed = 0
        get(GcctlMiddleware(as_own_list))
        wait_until(lambda: OwnList.closed == 1 and counts() == (1, 0, 0))

    def test_that_are_the_servers_files_stay_so(self) -> None:
        class FileWrapper:
            def __init__(self) -> None:
                self.closed = 0

            def close(self) -> None:
                self.closed += 1

        class Fixed(FileWrapper):
            __slots__ = ()

            def __setattr__(self, name: str, value: object) -> None:
                if name == "close":
                    raise AttributeError
                super().__setattr__(name, value)

        for kind, left in ((FileWrapper, False), (Fixed, True)):
            file = kind()
            environ: dict[str, Any] = {"wsgi.file_wrapper": kind}
            response: Any = GcctlMiddleware(lambda *_, file=file: file)(environ, print)
            assert response is file
            assert environ[MARK].left is left
            response.close()
            assert environ[MARK].left
            assert file.closed == 1
        assert counts() == (2, 0, 0)

    @pytest.mark.parametrize("twice", [False, True])
    def test_that_are_the_servers_files_stay_so_where_a_function_makes_them(
        self, get: Get, monkeypatch: pytest.MonkeyPatch, twice: bool
    ) -> None:
        """uWSGI's returns the file that it is given, others what only they know."""
        seen: list[tuple[bool, int]] = []
        made: list[object] = []

        def wrap(file: Any, size: int) -> Any:
            made.append(file)
            return file

        def result_is_file(handler: Any) -> bool:
            seen.append((handler.result in made, counts()[2]))
            return False  # send it as any iterable

        handler = "wsgiref.handlers.BaseHandler."
        monkeypatch.setattr(handler + "wsgi_file_wrapper", staticmethod(wrap))
        monkeypatch.setattr(handler + "result_is_file", result_is_file)

        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            ok(start_response)
            file: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(BODY), 4096)
            return file

        assert get(GcctlMiddleware(GcctlMiddleware(app) if twice else app)).body == BODY
        wait_until(lambda: counts() == (1, 0, 0))
        assert get(GcctlMiddleware(as_generator)).body == BODY
        wait_until(lambda: counts() == (2, 0, 0))
        assert seen == [(True, 1), (False, 1)]

    def test_that_are_none_of_its_files_keep_a_boundary_of_their_own(self) -> None:
        """An application may wrap a file, and then answer with something else."""

        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            environ["wsgi.file_wrapper"](io.BytesIO(BODY))
            return OwnList([BODY])

        response: Any = GcctlMiddleware(app)({"wsgi.file_wrapper": lambda file: file}, print)
        assert list(response) == [BODY]
        assert counts() == (0, 0, 1)
        response.close()
        assert counts() == (1, 0, 0)

    def test_make_no_cycles_of_their_own(self) -> None:
        """A file wrapper whose `close` is a method of its class would be one with our hook."""

        class FileWrapper:
            def close(self) -> None: ...

        environ = {"wsgi.file_wrapper": FileWrapper}
        files: list[Any] = [FileWrapper()]
        response: Any = GcctlMiddleware(lambda *_: files.pop())(environ, print)
        gc.collect()
        response.close()
        del response
        assert gc.collect() == 0

    def test_that_are_none_are_the_servers_error(self, get: Get) -> None:
        def forgot(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            ok(start_response)

        assert get(GcctlMiddleware(forgot)).status == 500
        wait_until(lambda: counts() == (1, 1, 0))


@pytest.mark.parametrize("app", [as_list, as_generator, as_own_list, as_file, as_written])
@pytest.mark.usefixtures("short_collections")
def test_the_boundary_comes_after_the_last_byte(app: App, server: QuietServer) -> None:
    told = Told()

    def leaving_garbage(environ: Any, start_response: Any) -> Iterable[bytes]:
        Dropped(told.collected)
        return app(environ, start_response)

    gcctl.install("production")  # generation 0 at each boundary
    server.set_app(GcctlMiddleware(leaving_garbage))
    with server.connect() as client:
        received = b""
        while not received.endswith(b"\r\n\r\n" + BODY):
            received += client.recv(65536)
        assert counts()[2] in (0, 1)
        told.client_has_all.set()
        wait_until(lambda: told.seen)
    assert told.seen == [True]
    wait_until(lambda: counts() == (1, 0, 0))


@pytest.mark.usefixtures("installed")
class TestStreams:
    def test_are_in_flight_until_their_end(self, server: QuietServer) -> None:
        go_on = threading.Event()

        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            ok(start_response)
            yield b"first"
            go_on.wait(PATIENCE_SECONDS)
            yield b"second"

        server.set_app(GcctlMiddleware(app))
        with server.connect() as client:
            received = b""
            while not received.endswith(b"first"):
                received += client.recv(65536)
            assert counts() == (0, 0, 1)
            go_on.set()
            while chunk := client.recv(65536):
                received += chunk
        assert received.endswith(b"firstsecond")
        wait_until(lambda: counts() == (1, 0, 0))

    def test_end_when_the_client_goes_away(self, server: QuietServer) -> None:
        closed = threading.Event()

        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            ok(start_response)
            try:
                while True:
                    yield BODY
            finally:
                closed.set()

        server.set_app(GcctlMiddleware(app))
        with server.connect() as client:
            client.recv(100)
        assert closed.wait(PATIENCE_SECONDS)
        wait_until(lambda: counts() == (1, 0, 0))

    def test_may_be_iterated_by_next_alone(self) -> None:
        response: Any = GcctlMiddleware(as_generator)({}, lambda *_: lambda _: None)
        assert next(response) == BODY[:100]
        response.close()  # before its end
        assert counts() == (1, 0, 0)

    def test_that_a_server_drops_are_left(self) -> None:
        response: Any = GcctlMiddleware(as_generator)({}, lambda *_: lambda _: None)
        next(response)
        assert counts() == (0, 0, 1)
        del response
        assert counts() == (1, 0, 0)


class Stop(BaseException):
    """Not an Exception, as what ends threads and workers is not: nothing has failed."""


def fails_in_app(error: BaseException) -> App:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise error

    return app


def fails_in_iterator(error: BaseException) -> App:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        ok(start_response)
        yield b"first"
        raise error

    return app


def fails_in_iter(error: BaseException) -> App:
    class Response:
        def __iter__(self) -> Iterator[bytes]:
            raise error

    return lambda environ, start_response: Response()


def fails_in_close(error: BaseException) -> App:
    class Response(list[bytes]):
        def close(self) -> None:
            raise error

    return lambda environ, start_response: Response([b"first"])


def fails_in_close_of_file(error: BaseException) -> App:
    class File(io.BytesIO):
        def close(self) -> None:
            raise error

    return lambda environ, start_response: environ["wsgi.file_wrapper"](File())


FAILING = [
    fails_in_app,
    fails_in_iterator,
    fails_in_iter,
    fails_in_close,
    fails_in_close_of_file,
]


class FileWrapper:
    def __init__(self, file: Any) -> None:
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return iter([])


@pytest.mark.usefixtures("installed")
class TestFailures:
    @pytest.mark.parametrize(
        ("error", "failures"), [(ValueError("mine"), 1), (Stop("mine"), 0)], ids=["error", "exit"]
    )
    @pytest.mark.parametrize("failing", FAILING)
    def test_pass_through_and_count(
        self, failing: Callable[[BaseException], App], error: BaseException, failures: int
    ) -> None:
        """As a server calls it: `close()` whatever happens."""
        environ = {"wsgi.file_wrapper": FileWrapper}
        response: Any = None

        def serve() -> None:
            nonlocal response
            response = GcctlMiddleware(failing(error))(environ, lambda *_: lambda _: None)
            try:
                for _ in response:
                    assert counts()[2] == 1
            finally:
                response.close()

        with pytest.raises(type(error)) as caught:
            serve()
        assert caught.value is error
        assert counts() == (1, failures, 0)

    def test_of_start_response_too(self, get: Get) -> None:
        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            start_response("no status", [])
            return []

        answer = get(GcctlMiddleware(app))
        assert answer.status == 500
        wait_until(lambda: counts() == (1, 1, 0))

    def test_of_start_response_in_a_generator(self, get: Get) -> None:
        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            start_response("no status", [])
            yield b""

        assert get(GcctlMiddleware(app)).status == 500
        wait_until(lambda: counts() == (1, 1, 0))

    def test_of_an_application_that_clears_its_environ(self) -> None:
        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            environ.clear()
            raise ValueError("mine")

        for wrapped in (app, GcctlMiddleware(app)):
            with pytest.raises(ValueError, match="mine"):
                GcctlMiddleware(wrapped)({}, print)
        assert counts() == (2, 2, 0)

    def test_are_told_to_the_server_hook_that_owns_the_request(self) -> None:
        enter_server()
        with pytest.raises(ValueError, match="mine"):
            GcctlMiddleware(fails_in_app(ValueError("mine")))({}, print)
        assert counts() == (0, 0, 1)
        leave_server()
        assert counts() == (1, 1, 0)


@pytest.mark.parametrize("app", APPS)
def test_twice_counts_once(app: App, get: Get, installed: None) -> None:
    assert get(GcctlMiddleware(GcctlMiddleware(app))).body == BODY
    wait_until(lambda: counts() == (1, 0, 0))


@pytest.mark.parametrize("disabled", [False, True])
def test_without_install_nothing_happens(
    get: Get, disabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if disabled:
        monkeypatch.setenv("GCCTL_DISABLE", "1")
        gcctl.install()
    before = gc.isenabled(), gc.get_threshold(), list(gc.callbacks)
    assert get(GcctlMiddleware(as_list)).body == BODY
    assert (gc.isenabled(), gc.get_threshold(), list(gc.callbacks)) == before
    assert counts() == (0, 0, 0)


def test_tells_the_pauses_inside_a_request(get: Get, installed: None) -> None:
    told: list[tuple[int, int]] = []

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        ok(start_response)
        entry: Entry = environ[MARK]
        before = entry.gc_pause_ns
        gc.collect()
        told.append((before, entry.gc_pause_ns))
        return [b""]

    get(GcctlMiddleware(app))
    assert told[0][0] == 0 < told[0][1] <= gcctl.stats().pause_total_ns


class TestInstall:
    def test_comes_with_the_first_request(self, get: Get) -> None:
        app = GcctlMiddleware(as_list, install={"policy": "off", "report_every": 7})
        assert gcctl.stats().policy is None
        for _ in range(2):
            get(app)
        wait_until(lambda: counts() == (2, 0, 0))
        with pytest.raises(gcctl.GcctlError, match=r"already installed.*the WSGI middleware"):
            gcctl.install()

    def test_leaves_what_somebody_else_has_installed(self, get: Get) -> None:
        controller = gcctl.install("off")
        get(GcctlMiddleware(as_list, install={"policy": "production"}))
        assert controller.installed
        assert gcctl.stats().policy == "off"

    def test_is_checked_before(self) -> None:
        with pytest.raises(gcctl.ConfigError, match=r"gen0_evry.*gen0_every"):
            GcctlMiddleware(as_list, install={"gen0_evry": 1})

    def test_that_fails_breaks_no_request(
        self, get: Get, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = GcctlMiddleware(as_list, install={})
        monkeypatch.setenv("GCCTL_MAX_PAUSE", "soon")
        for _ in range(2):
            assert get(app).body == BODY
        assert [record.message for record in caplog.records] == ["gcctl was not installed"]

    def test_is_disabled_like_any_other(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GCCTL_DISABLE", "1")
        assert get(GcctlMiddleware(as_list, install={"gen0_evry": 1})).body == BODY
        assert gcctl.stats().policy is None


GUNICORN_APP = (
    STATS
    + """
import os, gcctl
from gcctl.integrations.wsgi import GcctlMiddleware

def answer(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise ValueError("mine")
    if path == "/bad-header":
        start_response("200 OK", [("Bad\\n", "header")])
    if path == "/file":
        size = os.path.getsize(__file__)
        start_response("200 OK", [("Content-Length", str(size))])
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    start_response("200 OK", [])
    if path == "/stats":
        return [counters()]
    if path == "/stream":
        return (b"x" * 1000 for _ in range(5))
    if path == "/endless":
        return (b"x" * 100_000 for _ in iter(int, 1))
    if path == "/breaks":
        return (b"x" * (1 // n) for n in (1, 0))
    return [b"hello"]

app = GcctlMiddleware(answer, install={"policy": "production"})
"""
)

SPY = """
from gunicorn.http.wsgi import Response

def telling(self, file, plain=Response.sendfile):
    sent = plain(self, file)
    print("sendfile:", sent, flush=True)
    return sent

Response.sendfile = telling
"""


@pytest.fixture(scope="module", params=["sync", "gthread"])
def gunicorn(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    pytest.importorskip("gunicorn")
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "spy.py").write_text(SPY)
    worker = ("-k", request.param, "--threads", "2" if request.param == "gthread" else "1")
    command = ("gunicorn", "-c", "spy.py", "-b", "fd://FD", *worker, "app:app")
    with serving(directory, *command, source=GUNICORN_APP) as server:
        yield server


class TestGunicorn:
    def test_every_request_counts(self, gunicorn: Server) -> None:
        before = gunicorn.stats()
        assert before["policy"] == "production"
        assert gunicorn.get("/").body == b"hello"
        assert len(gunicorn.get("/stream").body) == 5000
        file = gunicorn.get("/file").body
        assert file == GUNICORN_APP.encode()
        after = gunicorn.wait_for(in_flight=1)
        assert after["requests"] == gunicorn.asked - 1
        assert after["failures"] == before["failures"]
        assert after["collections"] == after["requests"]

    def test_files_are_still_sent_by_the_system(self, gunicorn: Server) -> None:
        gunicorn.get("/file")
        wait_until(lambda: "sendfile: True" in gunicorn.log)
        assert "sendfile: False" not in gunicorn.log

    @pytest.mark.parametrize(("path", "status"), [("/fail", [500]), ("/bad-header", [400, 500])])
    def test_failures_are_the_servers_to_answer(
        self, gunicorn: Server, path: str, status: list[int]
    ) -> None:
        before = gunicorn.stats()
        assert gunicorn.get(path).status in status
        after = gunicorn.wait_for(in_flight=1, failures=before["failures"] + 1)
        assert after["requests"] == gunicorn.asked - 1

    def test_failing_streams_and_clients_that_go_away(self, gunicorn: Server) -> None:
        before = gunicorn.stats()
        with gunicorn.connect("/breaks") as client:
            while client.recv(65536):
                pass
        gunicorn.wait_for(in_flight=1, failures=before["failures"] + 1)
        with gunicorn.connect("/endless") as client:
            client.recv(10)
        after = gunicorn.wait_for(in_flight=1)
        assert after["unmatched_exits"] == after["faults"] == 0

    def test_at_the_end_nothing_was_logged(self, gunicorn: Server) -> None:
        assert "Exception ignored" not in gunicorn.log
        assert "an error inside gcctl" not in gunicorn.log


def test_the_example_runs(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    source, *_ = examples("wsgi.md")
    with serving(tmp_path, "gunicorn", "-b", "fd://FD", "app:app", source=source) as server:
        answer = server.get("/")
    assert json.loads(answer.body)["gc_pause_ns"] >= 0
    assert "Traceback" not in server.log
