"""The shop for other programs."""

from __future__ import annotations

import json

from django.db import transaction
from django.db.models import Avg, Count, F, Sum
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from bench.service.shop.models import Category, Customer, Order, OrderLine, Product

MOST = 50
"""Products in an answer."""


@require_GET
def products(request: HttpRequest) -> JsonResponse:
    found = Product.objects.select_related("category").annotate(
        rating=Avg("reviews__rating"), count=Count("reviews")
    )
    if "category" in request.GET:
        found = found.filter(category__slug=request.GET["category"])
    return JsonResponse(
        {
            "products": [
                {
                    "id": each.pk,
                    "name": each.name,
                    "price": str(each.price),
                    "category": {"name": each.category.name, "slug": each.category.slug},
                    "reviews": {"count": each.count, "rating": each.rating},
                    "in_stock": each.stock > 0,
                }
                for each in found.order_by("pk")[:MOST]
            ]
        }
    )


@csrf_exempt
@require_POST
def orders(request: HttpRequest) -> JsonResponse:
    """Place one: {"customer": id, "lines": [{"product": id, "quantity": n}, …]}."""
    try:
        asked = json.loads(request.body)
        wanted = {int(line["product"]): int(line["quantity"]) for line in asked["lines"]}
        customer_pk = int(asked["customer"])
    except (KeyError, TypeError, ValueError) as error:
        return JsonResponse({"error": f"not an order: {error!r}"}, status=400)
    with transaction.atomic():
        customer = get_object_or_404(Customer, pk=customer_pk)
        found = Product.objects.in_bulk(wanted)
        if len(found) < len(wanted) or min(wanted.values(), default=0) < 1:
            return JsonResponse({"error": "no such products"}, status=400)
        order = Order.objects.create(customer=customer)
        OrderLine.objects.bulk_create(
            OrderLine(order=order, product=found[pk], quantity=quantity, price=found[pk].price)
            for pk, quantity in wanted.items()
        )
        for pk, quantity in wanted.items():
            Product.objects.filter(pk=pk, stock__gte=quantity).update(stock=F("stock") - quantity)
    return JsonResponse({"order": order.pk, "total": str(order.total())}, status=201)


@require_GET
def sales(request: HttpRequest) -> JsonResponse:
    """How much of each category was sold."""
    sold = Category.objects.annotate(
        amount=Sum(F("products__orderline__price") * F("products__orderline__quantity")),
        orders=Count("products__orderline__order", distinct=True),
    )
    return JsonResponse(
        {each.slug: {"amount": str(each.amount or 0), "orders": each.orders} for each in sold}
    )
