"""The requests, and when they are due: from a seed, so that every mode of a round has the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlencode

from bench.service.scenarios import ASGI, Case
from bench.service.shop.sizes import CATEGORIES, CUSTOMERS, ORDERS, PRODUCTS, WORDS

TOKEN = "a" * 32
"""For Django's protection of forms: sent in the cookie and in a header, as scripts of a page do."""

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Visit(NamedTuple):
    path: str
    body: bytes = b""
    """A POST where this is not empty."""
    content: str = JSON


class Due(NamedTuple):
    """A request, and when it is due, in seconds since the beginning."""

    seconds: float
    visit: Visit
    judged: bool
    """Whether its latency counts."""


Draw = Callable[[random.Random], Visit]


def _category(chance: random.Random) -> str:
    return f"category-{chance.randint(1, CATEGORIES)}"


def _page(chance: random.Random) -> Visit:
    asked = urlencode(
        {"page": chance.randint(1, 4), "sort": chance.choice(["price", "name", "newest"])}
    )
    return Visit(f"/category/{_category(chance)}/?{asked}")


def _product(chance: random.Random) -> Visit:
    return Visit(f"/product/{chance.randint(1, PRODUCTS)}/")


def _review(chance: random.Random) -> Visit:
    fields = {
        "author": chance.choice(WORDS),
        "rating": chance.randint(1, 5),
        "text": " ".join(chance.choices(WORDS, k=20)),
    }
    return _product(chance)._replace(body=urlencode(fields).encode(), content=FORM)


def _order(chance: random.Random) -> bytes:
    lines = [
        {"product": product, "quantity": chance.randint(1, 3)}
        for product in chance.sample(range(1, PRODUCTS + 1), 3)
    ]
    return json.dumps({"customer": chance.randint(1, CUSTOMERS), "lines": lines}).encode()


SHOP: tuple[tuple[int, Draw], ...] = (
    (15, lambda chance: Visit("/")),
    (20, _page),
    (25, _product),
    (5, _review),
    (12, lambda chance: Visit(f"/search/?q={chance.choice(WORDS)}")),
    (6, lambda chance: Visit(f"/order/{chance.randint(1, ORDERS)}/")),
    (8, lambda chance: Visit(f"/api/products/?category={_category(chance)}")),
    (5, lambda chance: Visit("/api/orders/", _order(chance))),
    (2, lambda chance: Visit("/api/sales/")),
    (2, lambda chance: Visit(f"/export/{_category(chance)}.csv")),
)
"""The requests of the Django shop, with weights that say how often each comes."""

PROGRAMS: tuple[tuple[int, Draw], ...] = (
    (25, lambda chance: Visit(f"/products?category={_category(chance)}")),
    (45, lambda chance: Visit(f"/products/{chance.randint(1, PRODUCTS)}")),
    (20, lambda chance: Visit(f"/search?q={chance.choice(WORDS)}")),
    (10, lambda chance: Visit("/orders", _order(chance))),
)
"""The same for the Starlette application."""


def visits(case: Case, seconds: float, seed: int, *, warm_up: bool = False) -> list[Due]:
    """Poisson arrivals for so many seconds. In the warm-up everything comes but the batch."""
    chance = random.Random(seed)
    mix = PROGRAMS if case.server == ASGI else SHOP
    weights, draws = zip(*mix, strict=True)
    found = [
        Due(at, chance.choices(draws, weights)[0](chance), True)
        for at in _poisson(case.per_second, seconds, chance)
    ]
    slow = Visit("/slow" if case.server == ASGI else "/slow/")
    found += [Due(at, slow, False) for at in _poisson(case.slow_per_second, seconds, chance)]
    if case.batch_seconds and not warm_up:
        work = Visit(f"/rebuild/?seconds={case.batch_seconds}")
        found.append(Due(seconds / 4, work, False))
    return sorted(found, key=lambda due: due.seconds)


def _poisson(per_second: float, seconds: float, chance: random.Random) -> list[float]:
    found = []
    at = chance.expovariate(per_second) if per_second else seconds
    while at < seconds:
        found.append(at)
        at += chance.expovariate(per_second)
    return found
