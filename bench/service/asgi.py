"""A worker process: the shop's products and orders for other programs, in Starlette.

Its argument is FD: it serves on the listening socket of that descriptor.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, closing
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.service.measured_process import here

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

UPSTREAM_SECONDS = 5
"""How long somebody else's service takes to answer."""

PRODUCTS = """
    SELECT product.id, product.name, product.price, product.stock, category.slug,
           (SELECT avg(rating) FROM shop_review WHERE product_id = product.id) AS rating
    FROM shop_product AS product JOIN shop_category AS category ON category.id = category_id
"""

kept = threading.local()


def database() -> sqlite3.Connection:
    """The connection of this thread."""
    if not hasattr(kept, "connection"):
        kept.connection = sqlite3.connect(here.database, timeout=20, isolation_level="IMMEDIATE")
        kept.connection.row_factory = sqlite3.Row
        kept.connection.execute("PRAGMA synchronous=OFF")
    connection: sqlite3.Connection = kept.connection
    return connection


def select(query: str, *values: object) -> list[dict[str, Any]]:
    with closing(database().execute(query, values)) as cursor:
        return [dict(row) for row in cursor]


def place(customer: int, wanted: dict[int, int]) -> int:
    """Places an order. Returns its number."""
    with database() as connection:
        added = connection.execute(
            "INSERT INTO shop_order (customer_id, placed, note) VALUES (?, datetime('now'), '')",
            (customer,),
        )
        connection.executemany(
            "INSERT INTO shop_orderline (order_id, product_id, quantity, price) "
            "SELECT ?, id, ?, price FROM shop_product WHERE id = ?",
            [(added.lastrowid, quantity, product) for product, quantity in wanted.items()],
        )
    return int(added.lastrowid or 0)


async def products(request: Request) -> JSONResponse:
    slug = request.query_params.get("category", "category-1")
    where = f"{PRODUCTS} WHERE category.slug = ? ORDER BY product.id LIMIT 50"
    return JSONResponse({"products": await run_in_threadpool(select, where, slug)})


async def product(request: Request) -> JSONResponse:
    pk = request.path_params["pk"]
    found = await run_in_threadpool(select, f"{PRODUCTS} WHERE product.id = ?", pk)
    if not found:
        raise HTTPException(404)
    query = "SELECT author, rating, text FROM shop_review WHERE product_id = ? LIMIT 20"
    reviews = await run_in_threadpool(select, query, pk)
    return JSONResponse({**found[0], "reviews": reviews})


async def search(request: Request) -> JSONResponse:
    word = request.query_params.get("q", "")
    where = f"{PRODUCTS} WHERE product.name LIKE ? ORDER BY product.name LIMIT 30"
    return JSONResponse({"products": await run_in_threadpool(select, where, f"%{word}%")})


async def orders(request: Request) -> JSONResponse:
    try:
        asked = await request.json()
        wanted = {int(line["product"]): int(line["quantity"]) for line in asked["lines"]}
        customer = int(asked["customer"])
    except (KeyError, TypeError, ValueError) as error:
        raise HTTPException(400, f"not an order: {error!r}") from error
    number = await run_in_threadpool(place, customer, wanted)
    return JSONResponse({"order": number}, status_code=201)


async def slow(request: Request) -> JSONResponse:
    """Waits for somebody else's service, and keeps the objects of its answer meanwhile."""
    answer = [{"line": number, "text": str(number)} for number in range(50)]
    await asyncio.sleep(UPSTREAM_SECONDS)
    return JSONResponse({"answer": answer})


class Measured:
    """Wraps the application. A request ends when its last byte is handed to the transport."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        about = here.answer(scope["path"])
        if about is not None:
            await JSONResponse(json.loads(about))(scope, receive, send)
            return
        here.enter()
        try:
            here.visit()
            await self._app(scope, receive, send)
        finally:
            here.leave()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    here.start()
    yield


app = Measured(
    Starlette(
        lifespan=lifespan,
        routes=[
            Route("/products", products),
            Route("/products/{pk:int}", product),
            Route("/search", search),
            Route("/orders", orders, methods=["POST"]),
            Route("/slow", slow),
        ],
    )
)


def main(descriptor: int) -> None:
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_keep_alive=75, lifespan="on"
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(int(sys.argv[1]))
