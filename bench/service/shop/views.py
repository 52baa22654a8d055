"""The pages."""

from __future__ import annotations

import csv
import time

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Avg, Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render

from bench.service.shop.forms import ReviewForm, SearchForm
from bench.service.shop.models import Category, Order, Product
from bench.service.shop.sizes import PER_PAGE

ORDERS_OF = {"price": "price", "name": "name", "newest": "-added"}
"""What a category can be sorted by."""

UPSTREAM_SECONDS = 0.25
"""How long somebody else's service takes to answer."""


def home(request: HttpRequest) -> HttpResponse:
    rated = Product.objects.annotate(rating=Avg("reviews__rating"))
    return render(
        request,
        "shop/home.html",
        {
            "categories": Category.objects.annotate(count=Count("products")),
            "newest": rated.select_related("category").order_by("-added")[:12],
            "search": SearchForm(),
        },
    )


def category(request: HttpRequest, slug: str) -> HttpResponse:
    found = get_object_or_404(Category, slug=slug)
    sort = request.GET.get("sort", "newest")
    products = found.products.annotate(rating=Avg("reviews__rating"), count=Count("reviews"))
    pages = Paginator(products.order_by(ORDERS_OF.get(sort, "-added"), "pk"), PER_PAGE)
    page = pages.get_page(request.GET.get("page"))
    context = {"category": found, "page": page, "sort": sort, "sorts": ORDERS_OF}
    return render(request, "shop/category.html", context)


def product(request: HttpRequest, pk: int) -> HttpResponse:
    """The product, and a new review of it."""
    found = get_object_or_404(Product.objects.select_related("category"), pk=pk)
    form = ReviewForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        review = form.save(commit=False)
        review.product = found
        review.save()
        messages.success(request, "Thank you for your review.")
        return redirect(found)
    context = {
        "product": found,
        "reviews": found.reviews.all()[:20],
        "rating": found.reviews.aggregate(mean=Avg("rating"), count=Count("pk")),
        "similar": found.category.products.exclude(pk=pk).order_by("price")[:6],
        "form": form,
    }
    return render(request, "shop/product.html", context, status=400 if form.errors else 200)


def search(request: HttpRequest) -> HttpResponse:
    form = SearchForm(request.GET)
    products = Product.objects.none()
    if form.is_valid():
        products = Product.objects.filter(name__icontains=form.cleaned_data["q"])
        if form.cleaned_data["category"]:
            products = products.filter(category=form.cleaned_data["category"])
    found = products.select_related("category").order_by("name", "pk")[:30]
    return render(request, "shop/search.html", {"form": form, "products": found})


def order(request: HttpRequest, pk: int) -> HttpResponse:
    orders = Order.objects.select_related("customer").prefetch_related("lines__product__category")
    return render(request, "shop/order.html", {"order": get_object_or_404(orders, pk=pk)})


def export(request: HttpRequest, slug: str) -> HttpResponse:
    found = get_object_or_404(Category, slug=slug)
    response = HttpResponse(content_type="text/csv")
    writer = csv.writer(response)
    writer.writerow(["id", "name", "price", "stock", "reviews"])
    for each in found.products.annotate(count=Count("reviews")).order_by("pk"):
        writer.writerow([each.pk, each.name, each.price, each.stock, each.count])
    return response


def slow(request: HttpRequest) -> HttpResponse:
    """Waits for somebody else, as a thread of a server does for most of the time."""
    asked = {"products": list(Product.objects.order_by("-added").values("pk", "name")[:10])}
    time.sleep(UPSTREAM_SECONDS)
    return JsonResponse(asked)


def rebuild(request: HttpRequest) -> HttpResponse:
    """Work for as many seconds as the request says: the search index, again and again."""
    until = time.monotonic() + float(request.GET["seconds"])
    rounds = 0
    while time.monotonic() < until:
        index: dict[str, list[dict[str, object]]] = {}
        for each in Product.objects.values("pk", "name", "description"):
            for word in f"{each['name']} {each['description']}".lower().split():
                index.setdefault(word, []).append({"product": each["pk"], "word": word})
        rounds += 1
    return JsonResponse({"rounds": rounds})
