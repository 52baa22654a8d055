"""A Django site with one thread. Each request opens a database that only its thread may close.

Half of the garbage is made by code that is no request: signal handlers, management commands.
"""

from __future__ import annotations

import sqlite3
import sys
import time

import django
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import path
from witness import Soak, Witness


class Session(Witness):
    def __init__(self) -> None:
        super().__init__()
        self.database = sqlite3.connect(":memory:")

    def __del__(self) -> None:
        super().__del__()
        self.database.close()  # raises in any other thread


def page(request: HttpRequest) -> JsonResponse:
    session = Session()
    session.database.execute("CREATE TABLE visits (number INTEGER)")
    for number in range(20):
        Witness(request, session, number)
    return JsonResponse({"visits": 20})


urlpatterns = [path("", page)]


def main(soak: Soak) -> None:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["gcctl.integrations.django.GcctlMiddleware"] if "gcctl" in sys.modules else [],
    )
    django.setup()
    from django.test import Client

    client = Client()
    while not soak.is_over:
        if not soak.works:
            time.sleep(0.05)
            continue
        assert client.get("/").status_code == 200
        for number in range(20):
            Witness(number)
        time.sleep(0.001)


soak = Soak()
main(soak)
soak.tell()
