"""Real Django projects under gunicorn and uvicorn."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import wait_until
from web_servers import STATS, Server, examples, serving

import gcctl
from gcctl.integrations.request_entry import begin

pytest.importorskip("django")

APP = "gcctl.integrations.django"
MIDDLEWARE = "gcctl.integrations.django.GcctlMiddleware"

PROJECT = (
    STATS
    + """
import asyncio, gc, json, os, sys
import django
from django.conf import settings
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="secret",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    LOGGING_CONFIG=None,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    **json.loads(os.environ.get("SETTINGS", "{}")),
)

def stats(request):
    return HttpResponse(counters())

async def async_stats(request):
    await asyncio.sleep(0)
    return HttpResponse(counters())

def fail(request):
    raise ValueError("mine")

async def async_fail(request):
    raise ValueError("mine")

def stream(request):
    return StreamingHttpResponse(str(number) for number in range(5))

def endless(request):
    return StreamingHttpResponse(b"x" * 100_000 for _ in iter(int, 1))

async def parts():
    for number in range(5):
        await asyncio.sleep(0)
        yield str(number)

async def async_stream(request):
    return StreamingHttpResponse(parts())

def file(request):
    return FileResponse(open(__file__, "rb"))

def pauses(request):
    entry = getattr(request, "scope", request.META)["gcctl.request"]
    gc.collect()
    return JsonResponse({"gc_pause_ns": entry.gc_pause_ns})

def nested(request):
    from django.test import Client
    inner = json.loads(Client().get("/stats").content)
    return JsonResponse({"inner": inner, "after": json.loads(counters())})

views = [stats, async_stats, fail, async_fail, stream, endless, async_stream, file, pauses, nested]
urlpatterns = [path(view.__name__, view) for view in views]

if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line()
else:
    django.setup()
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    wsgi = get_wsgi_application()
    asgi = get_asgi_application()
"""
)

SERVERS = {
    "gunicorn sync": ["gunicorn", "-b", "fd://FD", "app:wsgi"],
    "gunicorn gthread": [
        "gunicorn",
        "-k",
        "gthread",
        "--threads",
        "3",
        "-b",
        "fd://FD",
        "app:wsgi",
    ],
    "uvicorn": ["uvicorn", "--fd", "FD", "app:asgi"],
}
PRODUCTION = {"policy": "production"}
WAYS: dict[str, dict[str, Any]] = {
    "app": {"INSTALLED_APPS": [APP], "GCCTL": PRODUCTION},
    "middleware": {"MIDDLEWARE": [MIDDLEWARE], "GCCTL": PRODUCTION},
    "both": {"INSTALLED_APPS": [APP], "MIDDLEWARE": [MIDDLEWARE] * 2, "GCCTL": PRODUCTION},
}
COMBINATIONS = [
    ("gunicorn sync", "app"),
    ("gunicorn gthread", "both"),
    ("uvicorn", "app"),
    ("uvicorn", "middleware"),
]


def environment(settings: dict[str, Any]) -> dict[str, str]:
    return {"SETTINGS": json.dumps(settings)}


@pytest.fixture(scope="module", params=COMBINATIONS, ids=lambda pair: " ".join(pair))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    name, way = request.param
    pytest.importorskip(SERVERS[name][0])
    directory = tmp_path_factory.mktemp("django")
    with serving(directory, *SERVERS[name], source=PROJECT, env=environment(WAYS[way])) as running:
        yield running


class TestServers:
    def test_every_request_counts_once(self, server: Server) -> None:
        before = server.stats()
        assert before["policy"] == "production"
        for path in ("/stats", "/async_stats", "/stream", "/async_stream"):
            assert server.get(path).status == 200
        assert server.get("/file").body == PROJECT.encode()
        assert server.get("/missing").status == 404
        after = server.wait_for(in_flight=1)
        assert after["requests"] == server.asked - 1
        assert after["failures"] == before["failures"]
        assert after["unmatched_exits"] == after["faults"] == 0
        assert after["collections"] == after["requests"]

    @pytest.mark.parametrize("path", ["/fail", "/async_fail"])
    def test_failing_views_are_failing_requests(self, server: Server, path: str) -> None:
        before = server.stats()
        assert server.get(path).status == 500
        after = server.wait_for(in_flight=1, failures=before["failures"] + 1)
        assert after["unmatched_exits"] == 0

    def test_clients_that_go_away(self, server: Server) -> None:
        with server.connect("/stream") as client:
            client.recv(1)
        if "asgi" not in str(server.process.args):  # which takes all of a plain iterator first
            with server.connect("/endless") as client:
                client.recv(1)
        after = server.wait_for(in_flight=1)
        assert after["unmatched_exits"] == after["faults"] == 0

    def test_pauses_inside_are_told(self, server: Server) -> None:
        assert json.loads(server.get("/pauses").body)["gc_pause_ns"] > 0

    def test_a_request_inside_another_leaves_that_in_flight(self, server: Server) -> None:
        answer = json.loads(server.get("/nested").body)
        assert answer["inner"]["in_flight"] == 2
        assert answer["after"]["in_flight"] == 1
        server.wait_for(in_flight=1)

    def test_nothing_was_said_about_us(self, server: Server) -> None:
        assert "Exception ignored" not in server.log
        assert "kept away" not in server.log


def manage(directory: Path, *command: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    (directory / "app.py").write_text(PROJECT)
    return subprocess.run(
        [sys.executable, "app.py", *command],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory), **environment(settings)},
        capture_output=True,
        text=True,
        timeout=60,
    )


class TestChecks:
    def test_good_settings_have_nothing_to_say(self, tmp_path: Path) -> None:
        for given in ({"max_pause": "5ms", "enable_manual_gc": True}, None):
            done = manage(tmp_path, "check", INSTALLED_APPS=[APP], GCCTL=given)
            assert done.returncode == 0, done.stderr
            assert "no issues" in done.stdout

    @pytest.mark.parametrize(
        ("setting", "says"),
        [
            ({"gen0_evry": 1}, "gen0_every"),
            ({"max_pause": "soon"}, "max_pause"),
            (7, "expected a Config, a mapping of fields, or the path of a TOML file"),
        ],
    )
    def test_bad_settings_are_an_error(self, tmp_path: Path, setting: object, says: str) -> None:
        done = manage(tmp_path, "check", INSTALLED_APPS=[APP], GCCTL=setting)
        assert done.returncode == 1
        assert "settings.GCCTL: (gcctl.E001)" in done.stderr
        assert says in done.stderr

    def test_the_middleware_twice_is_a_warning(self, tmp_path: Path) -> None:
        twice = [MIDDLEWARE, "django.middleware.common.CommonMiddleware", MIDDLEWARE]
        done = manage(tmp_path, "check", INSTALLED_APPS=[APP], MIDDLEWARE=twice)
        assert done.returncode == 0
        assert "(gcctl.W001)" in done.stderr
        assert "(gcctl.I001)" not in done.stderr

    def test_the_middleware_behind_others_is_a_hint(self, tmp_path: Path) -> None:
        behind = ["django.middleware.common.CommonMiddleware", MIDDLEWARE]
        command = ("check", "--fail-level", "WARNING")
        done = manage(tmp_path, *command, INSTALLED_APPS=[APP], MIDDLEWARE=behind)
        assert done.returncode == 0
        assert "(gcctl.I001)" in done.stderr


class TestInstall:
    def test_not_by_commands(self, tmp_path: Path) -> None:
        apps = [APP, "django.contrib.contenttypes"]
        code = "import gcctl; assert gcctl.stats().policy is None; print('ran')"
        for command in (["migrate"], ["shell", "-c", code]):
            done = manage(tmp_path, *command, "-v0", INSTALLED_APPS=apps, GCCTL=PRODUCTION)
            assert done.returncode == 0, done.stderr
        assert "ran" in done.stdout

    @pytest.mark.parametrize(
        ("settings", "policy"),
        [
            ({"INSTALLED_APPS": [APP]}, "auto"),
            ({"INSTALLED_APPS": [APP], "GCCTL": None}, None),
            ({"MIDDLEWARE": [MIDDLEWARE]}, None),
            ({"MIDDLEWARE": [MIDDLEWARE], "GCCTL": {}}, "auto"),
        ],
    )
    def test_as_the_settings_say(
        self, tmp_path: Path, settings: dict[str, Any], policy: str | None
    ) -> None:
        pytest.importorskip("gunicorn")
        with serving(
            tmp_path,
            *SERVERS["gunicorn sync"],
            source=PROJECT,
            env=environment(settings),
        ) as server:
            assert server.stats()["policy"] == policy

    def test_not_in_a_master_that_forks(self, tmp_path: Path) -> None:
        pytest.importorskip("gunicorn")
        config = """
def on_exit(server):
    import gcctl
    print("master:", gcctl.stats().policy, flush=True)
"""
        (tmp_path / "config.py").write_text(config)
        command = [*SERVERS["gunicorn sync"], "--preload", "-c", "config.py"]
        env = environment(WAYS["app"])
        with serving(tmp_path, *command, source=PROJECT, env=env) as server:
            assert server.stats()["policy"] == "production"
        wait_until(lambda: "master: None" in server.log)

    def test_bad_settings_break_no_request(self, tmp_path: Path) -> None:
        pytest.importorskip("gunicorn")
        env = environment({"INSTALLED_APPS": [APP], "GCCTL": {"max_pause": "soon"}})
        with serving(tmp_path, *SERVERS["gunicorn sync"], source=PROJECT, env=env) as server:
            assert server.stats()["policy"] is None
            assert server.stats()["policy"] is None
        assert server.log.count("gcctl was not installed") == 1

    def test_under_runserver(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        (tmp_path / "app.py").write_text(PROJECT)
        env = {**environment(WAYS["app"]), "PYTHONPATH": str(tmp_path)}
        command = ("app", "runserver", f"127.0.0.1:{port}")
        with serving(tmp_path, *command, env=env) as started:
            server = Server(port, started.process, tmp_path / "server.log")

            def answers() -> bool:
                try:
                    return server.get("/stats").status == 200
                except OSError:
                    return False

            wait_until(answers)
            assert server.stats()["policy"] == "production"


def test_the_wsgi_and_the_asgi_middleware_count_no_second_time(tmp_path: Path) -> None:
    source = """
from gcctl.integrations.asgi import GcctlMiddleware as Asgi
from gcctl.integrations.wsgi import GcctlMiddleware as Wsgi
from app import asgi, wsgi

asgi, wsgi = Asgi(asgi, install={}), Wsgi(wsgi)
"""
    (tmp_path / "wrapped.py").write_text(source)
    for name in ("gunicorn sync", "uvicorn"):
        pytest.importorskip(SERVERS[name][0])
        command = [part.replace("app:", "wrapped:") for part in SERVERS[name]]
        env = environment(WAYS["app"])
        with serving(tmp_path, *command, source=PROJECT, env=env) as server:
            server.get("/fail")
            after = server.wait_for(in_flight=1)
            assert (after["requests"], after["failures"]) == (server.asked - 1, 1)


def test_the_example_runs(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    source, *_ = examples("django.md")
    with serving(tmp_path, "gunicorn", "-b", "fd://FD", "app:app", source=source) as server:
        answer = server.get("/")
        assert b"ns of GC" in answer.body
    assert "Traceback" not in server.log


def test_a_response_that_a_cache_has_kept_has_no_boundary() -> None:
    from gcctl.integrations.django.middleware import _Leave

    with gcctl.install("off"):
        entry = begin()
        pickle.loads(pickle.dumps(_Leave(entry)))()
        assert not entry.left
        assert gcctl.stats().requests == 0
        _Leave(entry)()
        assert gcctl.stats().requests == 1
