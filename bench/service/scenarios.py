"""The cases that are measured: a service, and the requests that come to it."""

from __future__ import annotations

from typing import NamedTuple

SYNC = "sync"
GTHREAD = "gthread"
ASGI = "asgi"
SERVERS = {
    SYNC: "Django, gunicorn, a sync worker",
    GTHREAD: "Django, gunicorn, a gthread worker",
    ASGI: "Starlette, uvicorn",
}


class Case(NamedTuple):
    """A service, and the requests that come to it."""

    name: str
    what: str
    server: str
    per_second: float = 40
    """Requests that are judged; they come at random, independently of each other."""
    objects: int = 0
    """Tracked objects that the service keeps, besides its code."""
    replaced: int = 0
    """Entries of these, two objects each, that a request replaces. Half of them are in reference
    cycles when they die."""
    kept: int = 0
    """Entries that a request adds for good."""
    leaked_bytes: int = 0
    """Size of a reference cycle that each request leaves behind."""
    nearly_full: bool = False
    """Whether gcctl is given a memory limit just above what the service needs."""
    threads: int = 1
    slow_per_second: float = 0
    """Requests per second that mostly wait for somebody else's service. They are not judged."""
    batch_seconds: float = 0
    """How long a single batch request works, among the others. It is not judged either."""
    heap: str = ""
    """The name of what the service keeps, in HEAPS."""


class Heap(NamedTuple):
    """What a service keeps. A full collection of automatic GC is due when a quarter of the heap is
    new. With so many entries replaced per request that is every 11 to 16 s."""

    what: str
    objects: int = 0
    replaced: int = 0


SITE = "site"
SMALL = "20k"
HEAPS = {
    SITE: Heap("site only"),
    SMALL: Heap("+ 20 k objects", 20_000, 100),
    "0.5M": Heap("+ 0.5 M objects", 500_000, 160),
    "2M": Heap("+ 2 M objects", 2_000_000, 400),
}
"""The small one is for brief runs."""

SCENARIOS = {
    "leaky": Case("leaky", "each request leaves a cycle of 100 kB", SYNC, leaked_bytes=100_000),
    "longlived": Case("longlived", "all that requests make lives on", SYNC, kept=300),
    "batch": Case(
        "batch",
        "a request of 10 s among short ones",
        GTHREAD,
        per_second=20,
        objects=100_000,
        replaced=100,
        threads=4,
        batch_seconds=10,
    ),
    "limited": Case(
        "limited",
        "a memory limit that is nearly reached",
        SYNC,
        objects=500_000,
        replaced=160,
        nearly_full=True,
    ),
    "threads": Case(
        "threads",
        "64 threads, most of which wait",
        GTHREAD,
        objects=100_000,
        replaced=100,
        threads=64,
        slow_per_second=60,
    ),
    "tasks": Case(
        "tasks",
        "1,000 tasks in flight, most of which wait",
        ASGI,
        objects=100_000,
        replaced=100,
        slow_per_second=200,
    ),
}
"""Where a policy must not be worse than automatic GC."""


def heap_case(server: str, name: str) -> Case:
    heap = HEAPS[name]
    return Case(
        f"{server}, {heap.what}",
        SERVERS[server],
        server,
        objects=heap.objects,
        replaced=heap.replaced,
        threads=4 if server == GTHREAD else 1,
        heap=name,
    )


def brief(case: Case, seconds: float) -> Case:
    """The same case, small enough for a run of so many seconds that judges no timing."""
    small = HEAPS[SMALL]
    return case._replace(
        objects=min(case.objects, small.objects),
        replaced=min(case.replaced, small.replaced),
        batch_seconds=min(case.batch_seconds, seconds / 2),
    )
