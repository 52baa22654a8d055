"""Flask applications under gunicorn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from web_servers import STATS, examples, serving

import gcctl

flask = pytest.importorskip("flask")

from gcctl.integrations.flask import Gcctl  # noqa: E402
from gcctl.integrations.wsgi import GcctlMiddleware  # noqa: E402

SOURCE = (
    STATS
    + """
import flask
from gcctl.integrations.flask import Gcctl

app = flask.Flask(__name__)
app.config["GCCTL"] = {"policy": "production", "gen0_every": 2}
gcctl = Gcctl(app, gen0_every=1)
Gcctl(app, gen0_every=1)

@app.get("/stats")
def stats():
    return counters()

@app.get("/fail")
def fail():
    raise ValueError("mine")

@app.get("/handled")
def handled():
    raise KeyError("mine")

@app.errorhandler(KeyError)
def on_key_error(error):
    return "handled", 400

@app.get("/stream")
def stream():
    return (str(number) for number in range(5))

@app.get("/file")
def file():
    return flask.send_file(__file__)

@app.get("/pauses")
def pauses():
    import gc
    gc.collect()
    return str(flask.request.environ["gcctl.request"].gc_pause_ns)
"""
)

GUNICORN = ["gunicorn", "-b", "fd://FD", "app:app"]


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_every_request_counts_once(tmp_path: Path, worker: str) -> None:
    pytest.importorskip("gunicorn")
    threads = ["--threads", "2"] if worker == "gthread" else []
    with serving(tmp_path, *GUNICORN, "-k", worker, *threads, source=SOURCE) as server:
        assert server.stats()["policy"] == "production"
        assert server.get("/stream").body == b"01234"
        assert server.get("/file").body == (tmp_path / "app.py").read_bytes()
        assert int(server.get("/pauses").body) > 0
        assert server.get("/missing").status == 404
        assert server.get("/handled").status == 400
        after = server.wait_for(in_flight=1)
        assert after["requests"] == server.asked - 1
        assert after["failures"] == 0
        # That of /pauses, and generation 0 after each request.
        assert after["collections"] == after["requests"] + 1
        assert server.get("/fail").status == 500
        server.wait_for(in_flight=1, failures=1)
        with server.connect("/stream") as client:
            client.recv(1)
        after = server.wait_for(in_flight=1)
        assert after["unmatched_exits"] == after["faults"] == 0
    assert "Exception ignored" not in server.log


def make(**config: Any) -> Any:
    app = flask.Flask(__name__)
    app.config.update(config)
    app.get("/")(lambda: "hello")
    return app


def test_an_application_is_wrapped_once() -> None:
    app = make()
    extension = Gcctl()
    assert not isinstance(app.wsgi_app, GcctlMiddleware)
    extension.init_app(app)
    wrapped = app.wsgi_app
    assert isinstance(wrapped, GcctlMiddleware)
    extension.init_app(app)
    Gcctl(app)
    assert app.wsgi_app is wrapped
    assert app.extensions["gcctl"] is extension


def test_wrapping_in_another_way_is_an_error() -> None:
    app = make()
    Gcctl(app, policy="off")
    with pytest.raises(gcctl.GcctlError, match=r"Flask.* \{'policy': 'off'\}.* not .*\{\}"):
        Gcctl(app)


def test_one_extension_serves_several_applications() -> None:
    extension = Gcctl(policy="off")
    for _ in range(2):
        app = make()
        extension.init_app(app)
        with app.test_client() as client:
            assert client.get("/").text == "hello"
    assert gcctl.stats().requests == 2


def test_nothing_is_installed_before_the_first_request_or_where_none_shall_be() -> None:
    Gcctl(make())
    app = make(GCCTL=None)
    Gcctl(app, policy="off")
    with app.test_client() as client:
        assert client.get("/").text == "hello"
    assert gcctl.stats().policy is None


@pytest.mark.parametrize("value", ["production", 7, []])
def test_settings_must_be_a_mapping(value: object) -> None:
    with pytest.raises(gcctl.ConfigError, match=r"app\.config\['GCCTL'\].*expected a mapping"):
        Gcctl(make(GCCTL=value))


def test_settings_are_checked_at_once() -> None:
    with pytest.raises(gcctl.ConfigError, match="max_pause"):
        Gcctl(make(GCCTL={"max_pause": "soon"}))
    with pytest.raises(gcctl.ConfigError, match="gen0_every"):
        Gcctl(make(), gen0_evry=1)


def test_the_example_runs(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    source, *_ = examples("flask.md")
    with serving(tmp_path, *GUNICORN, source=source) as server:
        assert b"ns of GC" in server.get("/").body
    assert "Traceback" not in server.log
