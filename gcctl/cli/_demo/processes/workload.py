"""The service that `gcctl demo` puts under load: a WSGI application, and the heap that it keeps.

Each request has 10 parameters and 20 headers, loads 100 rows with 5 relations each, transforms them
and answers in JSON. Rows and relations refer to each other, as those of an object-relational mapper
do. So reference counts never free them; only the collector does.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode
from wsgiref.types import StartResponse, WSGIEnvironment

PARAMETERS = 10
HEADERS = 20
ROWS = 100
RELATIONS = 5

PATH = "/orders?" + urlencode({f"param_{n}": f"value {n}" for n in range(PARAMETERS)})
REQUEST_HEADERS = {f"X-Header-{n}": f"value {n}" for n in range(HEADERS)}


class Request:
    def __init__(self, environ: WSGIEnvironment) -> None:
        self.parameters = dict(parse_qsl(environ["QUERY_STRING"]))
        self.headers = {
            name[len("HTTP_") :].title(): value
            for name, value in environ.items()
            if name.startswith("HTTP_X_")
        }
        self.rows = [Row(self, number) for number in range(ROWS)]


class Row:
    def __init__(self, request: Request, number: int) -> None:
        self.request = request
        self.number = number
        self.name = f"row {number}"
        self.relations = [Relation(self, f"relation {n}", number * n) for n in range(RELATIONS)]


class Relation:
    def __init__(self, row: Row, name: str, value: int) -> None:
        self.row = row
        self.name = name
        self.value = value


def transform(request: Request) -> dict[str, Any]:
    """The answer to a request, as plain data."""
    return {
        "parameters": request.parameters,
        "headers": request.headers,
        "rows": [
            {
                "id": row.number,
                "name": row.name.upper(),
                "total": sum(relation.value for relation in row.relations),
                "relations": {relation.name: relation.value for relation in row.relations},
            }
            for row in request.rows
        ],
    }


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = json.dumps(transform(Request(environ))).encode()
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]


def catalogue(objects: int) -> list[object]:
    """A live heap of that many tracked objects: products, each a dict with three lists in it.

    Each product refers to others anywhere in memory, like data that has been in use. If the objects
    were linked in the order in which they were made, going through them would be far too cheap.
    """
    chance = random.Random(objects)
    products: list[dict[str, Any]] = [
        {"sku": f"sku-{n}", "price": n, "tags": [f"tag {n}"], "stock": [n, n + 1], "related": []}
        for n in range(objects // 4)
    ]
    for product in products:
        product["related"].extend(chance.choices(products, k=3))
    return [*products, *([] for _ in range(objects % 4))]
