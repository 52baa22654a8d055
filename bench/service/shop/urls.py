"""Where everything is."""

from __future__ import annotations

from django.urls import path

from bench.service.shop import api, views

urlpatterns = [
    path("", views.home, name="home"),
    path("category/<slug:slug>/", views.category, name="category"),
    path("product/<int:pk>/", views.product, name="product"),
    path("search/", views.search, name="search"),
    path("order/<int:pk>/", views.order, name="order"),
    path("export/<slug:slug>.csv", views.export, name="export"),
    path("api/products/", api.products, name="api-products"),
    path("api/orders/", api.orders, name="api-orders"),
    path("api/sales/", api.sales, name="api-sales"),
    path("slow/", views.slow, name="slow"),
    path("rebuild/", views.rebuild, name="rebuild"),
]
