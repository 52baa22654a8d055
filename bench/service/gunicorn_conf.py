"""gunicorn's settings and hooks. For gcctl a request ends when its response is out."""

from __future__ import annotations

from typing import Any

from bench.service.measured_process import here
from bench.service.protocol import BEGIN, FIGURES
from bench.service.scenarios import GTHREAD

wsgi_app = "bench.service.wsgi:application"
workers = 1
worker_class = "gthread" if here.case.server == GTHREAD else "sync"
threads = here.case.threads
keepalive = 75
timeout = 600  # loading counts too
graceful_timeout = 1
loglevel = "warning"


def post_worker_init(worker: Any) -> None:
    here.start()


def pre_request(worker: Any, request: Any) -> None:
    if request.path not in (BEGIN, FIGURES):
        here.enter()


def post_request(worker: Any, request: Any, environ: Any, response: Any) -> None:
    if request.path not in (BEGIN, FIGURES):
        here.leave()
