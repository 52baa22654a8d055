"""A large JSON document of orders, loaded, turned round into one of customers, and dumped again."""

from __future__ import annotations

import argparse
import json
import zlib
from collections import defaultdict
from typing import Any

ORDERS = 60_000
CUSTOMERS = 6_000
COUNTRIES = ("AT", "CL", "DK", "JP", "KE", "NZ", "PT", "VN")

Json = dict[str, Any]


def document(orders: int) -> str:
    """As an export of a shop has them: everything about an order in one object."""
    lines = []
    for number in range(orders):
        customer = number * 7919 % CUSTOMERS
        items = ", ".join(
            f'{{"sku": "A{(number * 31 + item * 7) % 997:03}", '
            f'"quantity": {item + number % 3 + 1}, '
            f'"price": {(number + item) % 90 + 9}.{item}5, "tags": ["new", "t{number % 11}"]}}'
            for item in range(number % 4 + 1)
        )
        lines.append(
            f'{{"id": {number}, "day": "2024-{number % 12 + 1:02}-{number % 28 + 1:02}", '
            f'"customer": {{"id": {customer}, "name": "customer {customer}", '
            f'"address": {{"country": "{COUNTRIES[customer % 8]}", "zip": "{customer:05}"}}}}, '
            f'"items": [{items}], "paid": {"true" if number % 5 else "false"}}}'
        )
    return '{"orders": [' + ",\n".join(lines) + "]}"


def order_line(order: Json) -> Json:
    items = [
        {**item, "amount": round(item["quantity"] * item["price"], 2)} for item in order["items"]
    ]
    return {
        "id": order["id"],
        "month": order["day"][:7],
        "paid": order["paid"],
        "items": items,
        "total": round(sum(item["amount"] for item in items), 2),
    }


def by_customer(orders: list[Json]) -> list[Json]:
    """Each with their orders by month, and what they still have to pay."""
    groups: defaultdict[int, defaultdict[str, list[Json]]]
    groups = defaultdict(lambda: defaultdict(list))
    customers = {}
    for order in orders:
        customer = order["customer"]
        customers[customer["id"]] = customer
        line = order_line(order)
        groups[customer["id"]][line["month"]].append(line)
    return [
        {
            **customers[id],
            "months": [
                {
                    "month": month,
                    "orders": lines,
                    "open": round(sum(line["total"] for line in lines if not line["paid"]), 2),
                }
                for month, lines in sorted(months.items())
            ],
        }
        for id, months in sorted(groups.items())
    ]


def by_product(orders: list[Json]) -> dict[str, Json]:
    """What was sold of each, by country."""
    products: dict[str, Json] = {}
    for order in orders:
        country = order["customer"]["address"]["country"]
        for item in order["items"]:
            product = products.setdefault(item["sku"], {"sold": 0, "countries": {}, "tags": []})
            product["sold"] += item["quantity"]
            counts = product["countries"]
            counts[country] = counts.get(country, 0) + item["quantity"]
            product["tags"] = sorted({*product["tags"], *item["tags"]})
    return products


def main(scale: float) -> str:
    orders = json.loads(document(max(1, round(ORDERS * scale))))["orders"]
    result = {"customers": by_customer(orders), "products": by_product(orders)}
    text = json.dumps(result, indent=1, sort_keys=True)
    return f"{len(text)} characters, {zlib.crc32(text.encode()):08x}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    print(main(parser.parse_args().scale))
