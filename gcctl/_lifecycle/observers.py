"""Who else is called at each check, and when a controller ends: the exporters of metrics."""

from __future__ import annotations

from collections.abc import Callable

from gcctl._lifecycle.controller import Controller

Observer = Callable[[Controller, bool], object]

_observers: tuple[Observer, ...] = ()


def observe(observer: Observer) -> None:
    """Have `observer(controller, False)` called at each check of whichever controller is installed,
    and `observer(controller, True)` when one ends. Its `stats()` are its last then.

    A check is at the boundary of a request, which waits for it. What the observer raises is a
    fault. An observer cannot be removed.
    """
    global _observers
    _observers = (*_observers, observer)


def tell_observers(controller: Controller, *, ended: bool, on_error: Callable[[], object]) -> None:
    """Call all of them; `on_error()` where one raises, with its exception being handled."""
    for observer in _observers:
        try:
            observer(controller, ended)
        except Exception:
            on_error()
