"""A worker process: fills the database that SERVICE_BENCH names."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import django
from django.core.management import call_command
from django.db import connection, transaction

from bench.service.shop.sizes import CATEGORIES, CUSTOMERS, ORDERS, PRODUCTS, REVIEWS, WORDS

OPENED = datetime(2024, 1, 1, tzinfo=UTC)


def phrase(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words)).capitalize()


def fill() -> None:
    from bench.service.shop.models import Category, Customer, Order, OrderLine, Product, Review

    chance = random.Random(3)
    Category.objects.bulk_create(
        Category(pk=number, name=phrase(chance, 2), slug=f"category-{number}")
        for number in range(1, CATEGORIES + 1)
    )
    Product.objects.bulk_create(
        Product(
            pk=number,
            category_id=number % CATEGORIES + 1,
            name=phrase(chance, 3),
            description=f"{phrase(chance, 40)}.",
            price=Decimal(chance.randrange(100, 50_000)) / 100,
            stock=chance.randrange(10_000),
            added=OPENED + timedelta(hours=number),
        )
        for number in range(1, PRODUCTS + 1)
    )
    Review.objects.bulk_create(
        Review(
            product_id=chance.randint(1, PRODUCTS),
            author=phrase(chance, 2),
            rating=chance.randint(1, 5),
            text=f"{phrase(chance, 25)}.",
        )
        for _ in range(REVIEWS)
    )
    Customer.objects.bulk_create(
        Customer(pk=number, name=phrase(chance, 2), email=f"customer{number}@shop.example")
        for number in range(1, CUSTOMERS + 1)
    )
    Order.objects.bulk_create(
        Order(pk=number, customer_id=chance.randint(1, CUSTOMERS))
        for number in range(1, ORDERS + 1)
    )
    OrderLine.objects.bulk_create(
        OrderLine(
            order_id=number,
            product_id=chance.randint(1, PRODUCTS),
            quantity=chance.randint(1, 5),
            price=Decimal(chance.randrange(100, 50_000)) / 100,
        )
        for number in range(1, ORDERS + 1)
        for _ in range(3)
    )


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.service.shop.settings"
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    with transaction.atomic():
        fill()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it in the one file


if __name__ == "__main__":
    main()
