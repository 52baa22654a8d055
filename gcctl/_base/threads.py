"""What comes before gcctl starts a thread of its own."""

from __future__ import annotations


def prepare() -> None:
    """Import `threading` here, and not in a thread of gcctl's by the first line that it logs.

    Up to CPython 3.12 the thread that imports `threading` counts as the main thread for ever.
    """
    import threading  # noqa: F401
