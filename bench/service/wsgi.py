"""The shop as gunicorn calls it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

from bench.service.measured_process import here

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.service.shop.settings"
shop = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    about = here.answer(environ["PATH_INFO"])
    if about is not None:
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(about)))]
        start_response("200 OK", headers)
        return [about]
    here.visit()
    answer: Iterable[bytes] = shop(environ, start_response)
    return answer
